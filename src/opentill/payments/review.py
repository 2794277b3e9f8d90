"""What waits for a person: facts that were recorded but could not be booked as asked."""

import json

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.payments.model import Payment, Receipt


def open_item(tx: Tx, payment: Payment, reason: str, *, receipt_id: int, now: Instant) -> None:
    """Put a payment on the operators' list, with the receipt that needs a decision."""
    _insert(tx, payment.owner, "payment", payment.uuid, reason, receipt_id, now)


def open_receipt(tx: Tx, receipt: Receipt, reason: str, *, receipt_id: int, now: Instant) -> None:
    """Put money that belongs to no payment on the operators' list."""
    _insert(tx, receipt.owner, "receipt", str(receipt_id), reason, receipt_id, now)


def _insert(
    tx: Tx, owner: Owner, subject_type: str, subject_id: str, reason: str, receipt_id: int, now: Instant
) -> None:
    tx.run(
        """
        insert into review_item (merchant_id, mode, subject_type, subject_id, reason, detail, created_at)
        values (:merchant_id, :mode, :subject_type, :subject_id, :reason, :detail, :now)
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        subject_type=subject_type,
        subject_id=subject_id,
        reason=reason,
        detail=json.dumps({"receipt_id": receipt_id}),
        now=now,
    )
