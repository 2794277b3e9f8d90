"""SQL of disputes. Private to this feature."""

from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.payments.disputes.model import Dispute, DisputeStatus
from opentill.payments.model import BookedReceipt

COLUMNS: Final = """d.id, d.uuid, d.merchant_id, d.mode, d.payment_id, d.receipt_id, d.gateway, d.status, d.units,
               d.currency, d.charge_units, d.charge_currency, d.reason, d.evidence, d.evidence_due_at, d.resolved_at,
               d.created_at, d.updated_at"""


def insert(
    tx: Tx,
    uuid: str,
    receipt: BookedReceipt,
    amount: Money,
    charge: Money,
    *,
    reason: str,
    ref: str | None,
    evidence_due_at: Instant | None,
    now: Instant,
) -> Dispute:
    """Record a new dispute, open."""
    row = tx.all(
        f"""
        insert into dispute (uuid, merchant_id, mode, payment_id, receipt_id, gateway, ref, status, units, currency,
                                  charge_units, charge_currency, reason, evidence_due_at, created_at, updated_at)
        values (:uuid, :merchant_id, :mode, :payment_id, :receipt_id, :gateway, :ref, 'open', :units, :currency,
                :charge_units, :charge_currency, :reason, :evidence_due_at, :now, :now)
        returning {COLUMNS.replace("d.", "")}
        """,
        uuid=uuid,
        payment_id=receipt.payment_id,
        receipt_id=receipt.id,
        gateway=receipt.gateway,
        ref=ref,
        units=amount.units,
        currency=amount.currency.code,
        charge_units=charge.units,
        charge_currency=charge.currency.code,
        reason=reason,
        evidence_due_at=evidence_due_at,
        now=now,
        **receipt.owner.columns,
    )[0]
    return as_dispute(row)


def save(tx: Tx, dispute: Dispute, *, now: Instant) -> None:
    """Write down where a dispute stands."""
    tx.run(
        """
        update dispute set status = :status, evidence = :evidence, resolved_at = :resolved_at, updated_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=dispute.id,
        status=dispute.status.value,
        evidence=dispute.evidence,
        resolved_at=dispute.resolved_at,
        now=now,
        **dispute.owner.columns,
    )


def one(tx: ReadTx, condition: str, owner: Owner, *, lock: bool = False, **params: Any) -> Dispute | None:
    """Return the owner's dispute that a *condition* on `d` names, if there is one."""
    row = tx.one_or_none(
        f"""
        select {COLUMNS} from dispute d
         where {condition} and d.merchant_id = :merchant_id and d.mode = :mode{for_update(tx) if lock else ""}
        """,
        **owner.columns,
        **params,
    )
    return as_dispute(row) if row else None


def as_dispute(row: Row) -> Dispute:
    return Dispute(
        id=row["id"],
        uuid=row["uuid"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        payment_id=row["payment_id"],
        receipt_id=row["receipt_id"],
        gateway=row["gateway"],
        status=DisputeStatus(row["status"]),
        amount=Money(row["units"], currency(row["currency"])),
        charge=Money(row["charge_units"], currency(row["charge_currency"])),
        reason=row["reason"],
        evidence=row["evidence"],
        evidence_due_at=row["evidence_due_at"],
        resolved_at=row["resolved_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
