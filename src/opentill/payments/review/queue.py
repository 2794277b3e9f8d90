"""What waits for a person: facts that were recorded but could not be booked as asked."""

import json
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.operators.reasons import Ending, Reason
from opentill.payments.model import Payment, Receipt, Refund

ODD, MISMATCH, LATE, SUBMISSION, REFUND = "odd", "mismatch", "late", "submission", "refund"
CLAIMS: Final = {"elsewhere": Reason.COUNTED_ELSEWHERE, "for_none": Reason.COUNTED_FOR_NONE}


def open_item(
    tx: Tx, payment: Payment, reason: Reason, *, receipt_id: int | None, kind: str = ODD, now: Instant
) -> None:
    """Put a payment on the operators' list, with the receipt that needs a decision, if there is one."""
    _insert(tx, payment.owner, "payment", payment.uuid, reason, receipt_id, now, kind=kind, payment_id=payment.id)


def shows_claim(tx: ReadTx, payment_id: int, receipt_id: int, *, owner: Owner) -> bool:
    """Tell whether a person was shown that a payment claims money which another one, or none, has."""
    return bool(
        tx.all(
            """
            select id from review_item
             where payment_id = :payment_id and receipt_id = :receipt_id and reason in (:elsewhere, :for_none)
               and merchant_id = :merchant_id and mode = :mode limit 1
            """,
            payment_id=payment_id,
            receipt_id=receipt_id,
            **CLAIMS,
            **owner.columns,
        )
    )


def open_completed(tx: Tx, payment: Payment, reason: Reason, *, now: Instant) -> None:
    """Put a completed payment on the operators' list, with the receipt that completed it."""
    [receipt] = tx.all(
        """
        select id from receipt
         where payment_id = :payment_id and origin = 'charge' and state = 'booked'
           and merchant_id = :merchant_id and mode = :mode
        """,
        payment_id=payment.id,
        **payment.owner.columns,
    )
    open_item(tx, payment, reason, receipt_id=receipt["id"], now=now)


def open_receipt(tx: Tx, receipt: Receipt, reason: Reason, *, receipt_id: int, now: Instant) -> None:
    """Put money that belongs to no payment on the operators' list."""
    _insert(tx, receipt.owner, "receipt", str(receipt_id), reason, receipt_id, now)


def open_submission(tx: Tx, payment: Payment, reason: Reason, submission_id: int, *, now: Instant) -> None:
    """Put what a payer submitted on the operators' list."""
    _insert(
        tx,
        payment.owner,
        "submission",
        str(submission_id),
        reason,
        None,
        now,
        kind=SUBMISSION,
        payment_id=payment.id,
    )


def close_submissions(tx: Tx, payment: Payment, ending: Ending, *, now: Instant) -> None:
    """Take a payment's submissions off the list: another one came, or it is over."""
    tx.run(
        """
        update review_item set resolution = :resolution, resolved_at = :now
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
           and kind = 'submission' and resolved_at is null
        """,
        payment_id=payment.id,
        **payment.owner.columns,
        resolution=ending,
        now=now,
    )


def open_refund(tx: Tx, refund: Refund, reason: Reason, *, now: Instant) -> None:
    """Put a refund on the operators' list, once for each reason."""
    if tx.one_or_none(
        """
        select id from review_item
         where merchant_id = :merchant_id and mode = :mode and kind = 'refund' and resolved_at is null
           and subject_id = :uuid and reason = :reason
        """,
        **refund.owner.columns,
        uuid=refund.uuid,
        reason=reason,
    ):
        return
    _insert(tx, refund.owner, "refund", refund.uuid, reason, refund.receipt_id, now, kind=REFUND)


def _insert(
    tx: Tx,
    owner: Owner,
    subject_type: str,
    subject_id: str,
    reason: Reason,
    receipt_id: int | None,
    now: Instant,
    *,
    kind: str = ODD,
    payment_id: int | None = None,
) -> None:
    tx.run(
        """
        insert into review_item (merchant_id, mode, kind, subject_type, subject_id, reason, detail, payment_id,
                                 receipt_id, created_at)
        values (:merchant_id, :mode, :kind, :subject_type, :subject_id, :reason, :detail, :payment_id,
                :receipt_id, :now)
        """,
        **owner.columns,
        kind=kind,
        subject_type=subject_type,
        subject_id=subject_id,
        reason=reason,
        detail=json.dumps({"receipt_id": receipt_id} if receipt_id is not None else {}),
        payment_id=payment_id,
        receipt_id=receipt_id,
        now=now,
    )
