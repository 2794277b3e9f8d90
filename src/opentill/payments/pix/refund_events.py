"""What an event says of a refund on the PIX rail (docs/events.md)."""

from typing import Any

from opentill.db import ReadTx, Tx
from opentill.events import Event, record
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.payments.documents import payment_event, refund_part
from opentill.payments.model import Payment, Refund, RefundStatus


def tell(tx: Tx, kind: str, refund: Refund, payment: Payment | None, *, ids: Ids, now: Instant) -> None:
    """Record what became of a refund on the rail: for the payment's dialects too where there is a payment."""
    word = {"refund.created": "requested"}.get(kind) or kind.removeprefix("refund.")
    part, merchant = {**refund_part(refund), **_rail_part(tx, refund)}, _merchant_part(tx, refund.owner)
    pix_type = f"pix.refund.{word}"
    if payment is not None:
        record(tx, payment_event(kind, payment, at=now, pix_type=pix_type, refund=part), ids=ids)
        return
    record(
        tx,
        Event(
            type=kind,
            owner=refund.owner,
            object_type="refund",
            object_id=refund.uuid,
            at=now,
            document={"merchant": merchant, "refund": part},
            pix_type=pix_type,
        ),
        ids=ids,
    )


def _rail_part(tx: ReadTx, refund: Refund) -> dict[str, Any]:
    """Return what the rail adds to what an event says of a refund (docs/events.md)."""
    row = tx.one_or_none(
        """
        select r.ref, coalesce(r.public_id, r.charge_id, '') as transaction_id,
               (select c.external_id from pix_charge c where c.id = r.charge_id) as external_id
          from receipt r where r.id = :id
        """,
        id=refund.receipt_id,
    )
    completed = refund.status is RefundStatus.COMPLETED
    return {
        "refund_id": refund.public_id or "",
        "transaction_id": row["transaction_id"] if row else "",
        "end_to_end_id": row["ref"] if row else None,
        "external_id": row["external_id"] if row else None,
        "origin": "merchant" if refund.origin == "merchant" else "operator",
        "requested_at": refund.created_at,
        "completed_at": refund.processed_at if completed else None,
        "failed_at": refund.processed_at if refund.status is RefundStatus.FAILED else None,
        "returned_units": refund.charge.units if completed else 0,
        "return_id": refund.gateway_ref,
        "failure_reason": refund.failure_message,
        "failure_code": refund.failure_code,
    }


def _merchant_part(tx: ReadTx, owner: Owner) -> dict[str, Any]:
    row = tx.one_or_none("select uuid from merchant where id = :id", id=owner.merchant_id)
    return {"uuid": row["uuid"] if row else "", "account_id": owner.account_id}
