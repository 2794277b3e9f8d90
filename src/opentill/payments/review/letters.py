"""The letter that brings a question about a payment to its payer: the link to the page where it can be answered."""

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.mail import Letter, post
from opentill.mail.model import Kind
from opentill.payments.model import Payment
from opentill.payments.queries import merchant_name
from opentill.payments.review import submissions


def post_question(
    tx: Tx, payment: Payment, question: str, link: str, *, ids: Ids, keyring: Keyring, now: Instant
) -> None:
    """Write to the payer, if they have an address, in the language in which they said that they paid."""
    if not payment.contact.email:
        return
    facts = {
        "merchant": merchant_name(tx, payment.owner),
        "question": question,
        "units": payment.amount.units,
        "currency": payment.amount.currency.code,
        "link": link,
        "is_sandbox": payment.owner.mode.name == "SANDBOX",
    }
    letter = Letter(
        Kind.PAYER_ASKED,
        payment.contact.email,
        f"asked/{payment.uuid}/{now}",
        facts,
        merchant_id=payment.owner.merchant_id,
        language=submissions.language(tx, payment),
    )
    post(tx, letter, ids=ids, keyring=keyring, now=now)
