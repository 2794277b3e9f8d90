"""SQL of payments and sessions. Private to this feature's services and queries."""

import json
from collections.abc import Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.model import Contact, Detail, Payment, PaymentStatus, Receipt, Session, SessionState

PAYMENT: Final = """
        select p.id, p.uuid, p.reference, p.token, p.merchant_id, p.mode, p.status, p.detail, p.units, p.currency,
               p.fee_units, p.refunded_units, p.order_id, p.description, p.redirect_url, p.cancel_url, p.callback_url,
               p.callback_bare, p.gateway, p.gateway_fixed, p.gateway_ref, p.metadata, p.late, p.created_at,
               p.updated_at, p.expires_at, p.completed_at, m.uuid as merchant_uuid, c.uuid as customer_uuid, c.sealed
          from payment p
          join merchant m on m.id = p.merchant_id
          left join customer c on c.id = p.customer_id
"""
SESSION: Final = """
        select id, reference, payment_id, merchant_id, mode, gateway, state, provider_ref, detail, reason, checks,
               opened_at
          from gateway_session
"""


def insert(tx: Tx, **columns: Any) -> None:
    """Insert a new payment, which is always pending."""
    tx.run(
        """
        insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, order_id,
                             description, redirect_url, cancel_url, callback_url, callback_bare, gateway,
                             gateway_fixed, customer_id, metadata, created_at, updated_at, expires_at)
        values (:uuid, :reference, :token, :merchant_id, :mode, 'pending', 'pending', :units, :currency, :order_id,
                :description, :redirect_url, :cancel_url, :callback_url, :callback_bare, :gateway,
                :gateway_fixed, :customer_id, :metadata, :now, :now, :expires_at)
        """,
        **columns,
    )


def lock(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring) -> Payment | None:
    """Load an owner's payment and lock its row until *tx* ends."""
    if tx.one_or_none(
        f"""
        select id from payment
         where id = :id and merchant_id = :merchant_id and mode = :mode{for_update(tx)}
        """,
        id=payment_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    ):
        return one(tx, "p.id = :id", owner=owner, keyring=keyring, id=payment_id)
    return None


def one(tx: ReadTx, condition: str, *, owner: Owner, keyring: Keyring, **params: Any) -> Payment | None:
    """Return the newest of an owner's payments that meet a condition of this feature's own making."""
    row = tx.one_or_none(
        f"{PAYMENT} where {condition} and p.merchant_id = :merchant_id and p.mode = :mode order by p.id desc limit 1",
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        **params,
    )
    return as_payment(row, keyring) if row else None


def update(tx: Tx, payment: Payment) -> None:
    """Save what may change in a payment: its state, gateway and money."""
    tx.run(
        """
        update payment
           set status = :status, detail = :detail, gateway = :gateway, gateway_ref = :gateway_ref,
               fee_units = :fee_units, late = :late, updated_at = :updated_at, completed_at = :completed_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment.id,
        merchant_id=payment.owner.merchant_id,
        mode=int(payment.owner.mode),
        status=payment.status.value,
        detail=payment.detail.value,
        gateway=payment.gateway,
        gateway_ref=payment.gateway_ref,
        fee_units=payment.fee.units,
        late=int(payment.late),
        updated_at=payment.updated_at,
        completed_at=payment.completed_at,
    )


def set_expiry(tx: Tx, payment: Payment, expires_at: Instant) -> None:
    """Let a payment live as long as its bank's charge does."""
    tx.run(
        """
        update payment set expires_at = :expires_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment.id,
        merchant_id=payment.owner.merchant_id,
        mode=int(payment.owner.mode),
        expires_at=expires_at,
    )


def expired(tx: ReadTx, *, now: Instant, patience_ended: Instant, limit: int) -> Sequence[tuple[int, Owner]]:
    """Return the open payments of all merchants that can end because their time has passed, longest overdue first.

    Left out are those that wait for the outcome of a try, if their time passed after *patience_ended*, and those
    that end with their PIX charge.
    """
    rows = tx.all(
        """
        select p.id, p.merchant_id, p.mode from payment p
         where p.status in ('pending', 'processing') and p.expires_at <= :now and p.detail <> 'pending_review'
           and (p.expires_at <= :patience_ended or not exists (
               select 1 from gateway_session s where s.payment_id = p.id and s.state = 'unknown'))
           and not exists (
               select 1 from pix_charge c where c.payment_id = p.id
                  and (c.state in ('active', 'paying') or (c.state = 'creating' and c.announces = 1)))
         order by p.expires_at, p.id limit :limit
        """,
        now=now,
        patience_ended=patience_ended,
        limit=limit,
    )
    return [(row["id"], Owner(row["merchant_id"], Mode(row["mode"]))) for row in rows]


def insert_receipt(
    tx: Tx,
    receipt: Receipt,
    *,
    payment_id: int | None,
    fee: Money,
    origin: str,
    now: Instant,
    state: str = "booked",
    public_id: str | None = None,
    late: bool = False,
) -> int | None:
    """Insert a receipt and return its id, or None if this money is counted already."""
    rows = tx.all(
        """
        insert into receipt (merchant_id, mode, gateway, account, ref, public_id, payment_id, units, currency,
                             fee_units, origin, state, late, payer_name, payer_document, payer_ispb,
                             payer_bank_name, received_at, created_at)
        values (:merchant_id, :mode, :gateway, :account, :ref, :public_id, :payment_id, :units, :currency,
                :fee_units, :origin, :state, :late, :payer_name, :payer_document, :payer_ispb,
                :payer_bank_name, :received_at, :now)
        on conflict (merchant_id, mode, gateway, account, ref) do nothing
        returning id
        """,
        merchant_id=receipt.owner.merchant_id,
        mode=int(receipt.owner.mode),
        gateway=receipt.gateway,
        account=receipt.account,
        ref=receipt.ref,
        public_id=public_id,
        payment_id=payment_id,
        units=receipt.amount.units,
        currency=receipt.amount.currency.code,
        fee_units=fee.units,
        origin=origin,
        state=state,
        late=int(late),
        payer_name=receipt.payer_name,
        payer_document=receipt.payer_document,
        payer_ispb=receipt.payer_ispb,
        payer_bank_name=receipt.payer_bank_name,
        received_at=receipt.received_at,
        now=now,
    )
    return rows[0]["id"] if rows else None


def counted_receipt(tx: ReadTx, receipt: Receipt) -> Row | None:
    """Return where this money is counted already: the `id` of its row and its `payment_id`."""
    return tx.one_or_none(
        """
        select id, payment_id from receipt
         where merchant_id = :merchant_id and mode = :mode
           and gateway = :gateway and account = :account and ref = :ref
        """,
        merchant_id=receipt.owner.merchant_id,
        mode=int(receipt.owner.mode),
        gateway=receipt.gateway,
        account=receipt.account,
        ref=receipt.ref,
    )


def insert_session(
    tx: Tx, reference: str, payment: Payment, gateway: str, *, next_check_at: Instant | None, now: Instant
) -> Session:
    """Insert an open session. The database refuses a second open one of the same payment."""
    row = tx.all(
        """
        insert into gateway_session (reference, payment_id, merchant_id, mode, gateway, state, next_check_at, opened_at)
        values (:reference, :payment_id, :merchant_id, :mode, :gateway, 'open', :next_check_at, :now)
        returning id, reference, payment_id, merchant_id, mode, gateway, state, provider_ref, detail, reason, checks,
                  opened_at
        """,
        reference=reference,
        payment_id=payment.id,
        merchant_id=payment.owner.merchant_id,
        mode=int(payment.owner.mode),
        gateway=gateway,
        next_check_at=next_check_at,
        now=now,
    )[0]
    return as_session(row)


def open_session(tx: ReadTx, payment_id: int, *, owner: Owner) -> Session | None:
    """Return the payment's open session, if it has one."""
    row = tx.one_or_none(
        f"""{SESSION}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
           and state in ('open', 'unknown')
        """,
        payment_id=payment_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return as_session(row) if row else None


def session_count(tx: ReadTx, payment_id: int, *, owner: Owner) -> int:
    row = tx.one_or_none(
        """
        select count(*) as n from gateway_session
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
        """,
        payment_id=payment_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    counted: int = row["n"] if row else 0
    return counted


def last_session(tx: ReadTx, payment_id: int, *, owner: Owner) -> Session | None:
    """Return the newest session of a payment, open or ended."""
    row = tx.one_or_none(
        f"""{SESSION}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode order by id desc limit 1
        """,
        payment_id=payment_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return as_session(row) if row else None


def update_session(
    tx: Tx,
    session: Session,
    *,
    state: SessionState,
    now: Instant,
    next_check_at: Instant | None = None,
    reason: str | None = None,
    provider_ref: str | None = None,
) -> None:
    """Save where a session stands; an ended one is never looked at again."""
    ended = state not in (SessionState.OPEN, SessionState.UNKNOWN)
    tx.run(
        """
        update gateway_session
           set state = :state, next_check_at = :next_check_at, reason = coalesce(:reason, reason),
               provider_ref = coalesce(:provider_ref, provider_ref), checks = checks + 1, closed_at = :closed_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=session.id,
        merchant_id=session.owner.merchant_id,
        mode=int(session.owner.mode),
        state=state.value,
        next_check_at=None if ended else next_check_at,
        reason=reason,
        provider_ref=provider_ref,
        closed_at=now if ended else None,
    )


def note_detail(tx: Tx, session: Session, detail: str, *, next_check_at: Instant) -> None:
    """Save what the payer submitted in an open session, whose outcome is unknown from now on."""
    tx.run(
        """
        update gateway_session set detail = :detail, state = 'unknown', next_check_at = :next_check_at, checks = 0
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=session.id,
        merchant_id=session.owner.merchant_id,
        mode=int(session.owner.mode),
        detail=detail,
        next_check_at=next_check_at,
    )


def plan_check(tx: Tx, session: Session, *, at: Instant) -> None:
    """Save when an open session's gateway is asked next and leave the rest as it is."""
    tx.run(
        """
        update gateway_session set next_check_at = :at
         where id = :id and merchant_id = :merchant_id and mode = :mode and state in ('open', 'unknown')
        """,
        id=session.id,
        merchant_id=session.owner.merchant_id,
        mode=int(session.owner.mode),
        at=at,
    )


def due_sessions(tx: ReadTx, *, now: Instant, limit: int) -> Sequence[Session]:
    """Return open sessions of all merchants whose gateway is to be asked now."""
    rows = tx.all(
        f"""{SESSION}
         where state in ('open', 'unknown') and next_check_at <= :now order by next_check_at, id limit :limit
        """,
        now=now,
        limit=limit,
    )
    return [as_session(row) for row in rows]


def as_payment(row: Row, keyring: Keyring) -> Payment:
    """Read a row of PAYMENT; an erased customer reads as nobody."""
    in_currency = currency(row["currency"])
    return Payment(
        id=row["id"],
        uuid=row["uuid"],
        reference=row["reference"],
        token=row["token"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        merchant_uuid=row["merchant_uuid"],
        status=PaymentStatus(row["status"]),
        detail=Detail(row["detail"]),
        amount=Money(row["units"], in_currency),
        fee=Money(row["fee_units"], in_currency),
        refunded=Money(row["refunded_units"], in_currency),
        order_id=row["order_id"],
        description=row["description"],
        redirect_url=row["redirect_url"],
        cancel_url=row["cancel_url"],
        callback_url=row["callback_url"],
        callback_bare=bool(row["callback_bare"]),
        gateway=row["gateway"],
        gateway_fixed=bool(row["gateway_fixed"]),
        gateway_ref=row["gateway_ref"],
        contact=_contact(row, keyring),
        metadata=row["metadata"],
        late=bool(row["late"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
        completed_at=row["completed_at"],
    )


def as_session(row: Row) -> Session:
    return Session(
        id=row["id"],
        reference=row["reference"],
        payment_id=row["payment_id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        gateway=row["gateway"],
        state=SessionState(row["state"]),
        provider_ref=row["provider_ref"],
        detail=row["detail"],
        reason=row["reason"],
        checks=row["checks"],
        opened_at=row["opened_at"],
    )


def _contact(row: Row, keyring: Keyring) -> Contact:
    if row["sealed"] is None:
        return Contact()
    return Contact(**json.loads(keyring.open(row["sealed"], f"customer.sealed/{row['customer_uuid']}")))
