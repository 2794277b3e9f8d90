"""What a person must see to decide: what the payer said of a payment made by hand, and what was asked of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways
from opentill.payments.model import Payment
from opentill.payments.review import proofs


@dataclass(frozen=True, slots=True)
class Said:
    """What a payer said of a payment made by hand."""

    way: str  # the gateway's name, as the payer saw it
    provider_ref: str | None
    sender: str
    answers: Sequence[tuple[str, str]]  # to the merchant's own questions, each with its label
    proofs: Sequence[tuple[int, str, str, int]]  # number, name, media type and size


def said(tx: ReadTx, submission_id: int, *, owner: Owner, keyring: Keyring) -> Said | None:
    """Return what a submission says; None where the owner has none of that number."""
    row = tx.one_or_none(
        """
        select payment_id, gateway, provider_ref, sealed from submission
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=submission_id,
        **owner.columns,
    )
    if row is None:
        return None
    answers = json.loads(keyring.open(row["sealed"], f"submission.sealed/{row['payment_id']}"))
    sender = answers.pop("sender", "")
    way = gateways.manual(tx, row["gateway"], owner=owner)
    labels = {asked.key: asked.label for asked in way.fields} if way else {}
    return Said(
        way.name if way else row["gateway"],
        row["provider_ref"],
        sender,
        [(labels.get(key, key), answer) for key, answer in answers.items()],
        proofs.listed(tx, submission_id, owner=owner),
    )


def payment_of(tx: ReadTx, item_id: int, *, owner: Owner) -> int | None:
    """Return the number of the payment an item is about; None where it is about none, or there is no such item."""
    row = tx.one_or_none(
        "select payment_id from review_item where id = :id and merchant_id = :merchant_id and mode = :mode",
        id=item_id,
        **owner.columns,
    )
    return row["payment_id"] if row else None


def question(tx: ReadTx, payment: Payment) -> str | None:
    """Return what the payer of a payment that waits for a person was asked last."""
    row = tx.one_or_none(
        """
        select question from review_item
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
           and resolved_at is null and question is not null
         order by asked_at desc, id desc limit 1
        """,
        payment_id=payment.id,
        **payment.owner.columns,
    )
    return row["question"] if row else None
