"""SQL of refunds, and of what they take from receipts and payments. Private to this feature."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.payments.model import BookedReceipt, Hold, Refund, RefundStatus, RefundStep
from opentill.payments.refunds.rules import Shares

COLUMNS: Final = """r.id, r.uuid, r.public_id, r.merchant_id, r.mode, r.payment_id, r.receipt_id, r.gateway, r.origin,
               r.status, r.step, r.units, r.currency, r.charge_units, r.charge_currency, r.fee_units, r.hold, r.reason,
               r.detail, r.gateway_ref, r.failure_code, r.failure_message, r.checks, r.created_at, r.processed_at"""
REFUND: Final = f"select {COLUMNS} from refund r"


def fee_given(tx: ReadTx, receipt: BookedReceipt) -> Money:
    """Return what refunds of a receipt, those under way included, give back of its fee."""
    row = tx.one_or_none(
        """
        select coalesce(sum(fee_units), 0) as units from refund
         where receipt_id = :receipt_id and merchant_id = :merchant_id and mode = :mode and status <> 'failed'
        """,
        receipt_id=receipt.id,
        **receipt.owner.columns,
    )
    return Money(int(row["units"]) if row else 0, receipt.amount.currency)


def insert(
    tx: Tx,
    uuid: str,
    receipt: BookedReceipt,
    shares: Shares,
    *,
    payment_id: int | None,
    public_id: str | None,
    origin: str,
    step: RefundStep,
    hold: Hold,
    reason: str,
    detail: str,
    next_check_at: Instant | None,
    now: Instant,
) -> Refund:
    row = tx.all(
        """
        insert into refund (uuid, public_id, merchant_id, mode, payment_id, receipt_id, gateway, origin, status, step,
                            units, currency, charge_units, charge_currency, fee_units, hold, reason, detail,
                            next_check_at, created_at)
        values (:uuid, :public_id, :merchant_id, :mode, :payment_id, :receipt_id, :gateway, :origin, 'pending', :step,
                :units, :currency, :charge_units, :charge_currency, :fee_units, :hold, :reason, :detail,
                :next_check_at, :now)
        returning id, uuid, public_id, merchant_id, mode, payment_id, receipt_id, gateway, origin, status, step, units,
                  currency, charge_units, charge_currency, fee_units, hold, reason, detail, gateway_ref, failure_code,
                  failure_message, checks, created_at, processed_at
        """,
        uuid=uuid,
        public_id=public_id,
        payment_id=payment_id,
        receipt_id=receipt.id,
        gateway=receipt.gateway,
        origin=origin,
        step=step.value,
        units=shares.amount.units,
        currency=shares.amount.currency.code,
        charge_units=shares.charge.units,
        charge_currency=shares.charge.currency.code,
        fee_units=shares.fee.units,
        hold=hold.value,
        reason=reason,
        detail=detail,
        next_check_at=next_check_at,
        now=now,
        **receipt.owner.columns,
    )[0]
    return as_refund(row)


def update(tx: Tx, refund: Refund, *, next_check_at: Instant | None) -> None:
    """Save what became of a refund; one that is over is never looked at again."""
    tx.run(
        """
        update refund
           set status = :status, step = :step, gateway_ref = :gateway_ref, failure_code = :failure_code,
               failure_message = :failure_message, checks = :checks, processed_at = :processed_at,
               next_check_at = :next_check_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=refund.id,
        status=refund.status.value,
        step=refund.step.value,
        gateway_ref=refund.gateway_ref,
        failure_code=refund.failure_code,
        failure_message=refund.failure_message,
        checks=refund.checks,
        processed_at=refund.processed_at,
        next_check_at=next_check_at if refund.open else None,
        **refund.owner.columns,
    )


def move(tx: Tx, refund: Refund, *, refunding: int, refunded: int, now: Instant) -> None:
    """Change the totals of a refund's payment and receipt: by its amount, *refunding* and *refunded* times.

    Both rows are locked. The database refuses totals above what was paid.
    """
    tx.run(
        """
        update receipt set refunding_units = refunding_units + :units
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=refund.receipt_id,
        units=refunding * refund.charge.units,
        **refund.owner.columns,
    )
    if refund.payment_id is not None:
        tx.run(
            """
            update payment
               set refunding_units = refunding_units + :refunding, refunded_units = refunded_units + :refunded,
                   detail = case when refunded_units + :refunded = units then 'refunded' else detail end,
                   updated_at = :now
             where id = :id and merchant_id = :merchant_id and mode = :mode
            """,
            id=refund.payment_id,
            refunding=refunding * refund.amount.units,
            refunded=refunded * refund.amount.units,
            now=now,
            **refund.owner.columns,
        )


def one(tx: ReadTx, condition: str, *, owner: Owner, **params: Any) -> Refund | None:
    """Return the newest of an owner's refunds that meet a condition of this feature's own making."""
    row = tx.one_or_none(
        f"{REFUND} where {condition} and r.merchant_id = :merchant_id and r.mode = :mode order by r.id desc limit 1",
        **owner.columns,
        **params,
    )
    return as_refund(row) if row else None


class Due(NamedTuple):
    """A refund whose gateway is to be asked, and its gateway's lane: for PIX, its bank's."""

    lane: str
    refund: Refund


def due(tx: ReadTx, *, now: Instant, limit: int, but: Collection[str] = ()) -> Sequence[Due]:
    """Return refunds of all merchants whose gateway is to be asked now, longest overdue first, *but* not those of
    some lanes.
    """
    busy = {f"busy{number}": lane for number, lane in enumerate(sorted(but))}
    others = f"and lane not in ({', '.join(f':{name}' for name in busy)})" if busy else ""
    rows = tx.all(
        f"""
        select * from (
          select {COLUMNS}, r.next_check_at, a.gateway || ':' || a.account as lane
            from refund r join receipt a on a.id = r.receipt_id
           where r.next_check_at <= :now) found
         where 1 = 1 {others} order by next_check_at, id limit :limit
        """,
        now=now,
        limit=limit,
        **busy,
    )
    return [Due(row["lane"], as_refund(row)) for row in rows]


def take(tx: Tx, refund: Refund, *, until: Instant) -> bool:
    """Keep a due refund for oneself until an instant; False where somebody else has it, or it is over."""
    return bool(
        tx.run(
            """
            update refund set next_check_at = :until, checks = checks + 1
             where id = :id and merchant_id = :merchant_id and mode = :mode and checks = :checks
               and next_check_at is not null
            """,
            id=refund.id,
            checks=refund.checks,
            until=until,
            **refund.owner.columns,
        )
    )


def as_refund(row: Row) -> Refund:
    at_gateway = currency(row["charge_currency"])
    return Refund(
        id=row["id"],
        uuid=row["uuid"],
        public_id=row["public_id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        payment_id=row["payment_id"],
        receipt_id=row["receipt_id"],
        gateway=row["gateway"],
        origin=row["origin"],
        status=RefundStatus(row["status"]),
        step=RefundStep(row["step"]),
        amount=Money(row["units"], currency(row["currency"])),
        charge=Money(row["charge_units"], at_gateway),
        fee=Money(row["fee_units"], at_gateway),
        hold=Hold(row["hold"]),
        reason=row["reason"],
        detail=row["detail"],
        gateway_ref=row["gateway_ref"],
        failure_code=row["failure_code"],
        failure_message=row["failure_message"],
        checks=row["checks"],
        created_at=row["created_at"],
        processed_at=row["processed_at"],
    )
