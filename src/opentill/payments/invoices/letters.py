"""The letter that brings an invoice to its customer: the link to its page."""

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.mail import Letter, post
from opentill.mail.model import Kind
from opentill.payments.invoices.model import Invoice
from opentill.payments.queries import merchant_name


def post_link(tx: Tx, invoice: Invoice, link: str, *, ids: Ids, keyring: Keyring, now: Instant) -> None:
    """Write to the customer of an invoice that was sent, if they have an address."""
    if not invoice.contact.email:
        return
    total = invoice.terms.total
    facts = {
        "merchant": merchant_name(tx, invoice.owner),
        "number": invoice.number,
        "units": total.units,
        "currency": total.currency.code,
        "due_on": invoice.terms.due_on.isoformat() if invoice.terms.due_on else None,
        "link": link,
        "is_sandbox": invoice.owner.mode.name == "SANDBOX",
    }
    letter = Letter(
        Kind.INVOICE,
        invoice.contact.email,
        f"invoice/{invoice.uuid}",
        facts,
        merchant_id=invoice.owner.merchant_id,
    )
    post(tx, letter, ids=ids, keyring=keyring, now=now)
