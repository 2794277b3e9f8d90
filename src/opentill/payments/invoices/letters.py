"""The letter that brings an invoice to its customer: the link to its page, in the language of the merchant's people."""

from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.mail import Letter, post
from opentill.mail.model import Kind
from opentill.operators.readers import who_may
from opentill.payments.invoices.model import Invoice
from opentill.payments.queries import merchant_name

WRITERS: Final = "invoices.manage"  # the permission of those whose language is the merchant's


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
        language=_language(tx, invoice.owner),
    )
    post(tx, letter, ids=ids, keyring=keyring, now=now)


def _language(tx: ReadTx, owner: Owner) -> str | None:
    """Return the language in which a merchant's people work; None where none of them ever signed in.

    What its customers read is known of nobody before they have paid.
    """
    writers = who_may(tx, WRITERS, merchant_id=owner.merchant_id)
    return next((one.language for one in writers if one.language), None)
