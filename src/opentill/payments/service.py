"""Payments' use cases: one function, one transaction (merchant-api.md §10).

Every state change holds the payment's row lock, its journal and its event. Ids, keys and the time are arguments.
"""

from dataclasses import replace

from opentill.db import ReadTx, Tx
from opentill.events import record
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, Verdict, VerdictState
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways
from opentill.merchants.fees import fee_of
from opentill.merchants.model import Merchant
from opentill.payments import booking, customers, review, rules, store
from opentill.payments.documents import payment_event
from opentill.payments.model import (
    SESSIONS_MAX,
    Detail,
    Order,
    Payment,
    PaymentStatus,
    Receipt,
    Session,
    SessionState,
)

CHECK_WAITS_S = (5, 60, 120, 300, 600, 1800)  # a session's gateway is asked after these (merchant-api.md §15.3)
CALL_OVER = 15 * SECOND  # by then the gateway's first call has ended, or its process died


def create(
    tx: Tx, order: Order, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant, uuid: str | None = None
) -> Payment:
    """Store a payment with its transaction and record `payment.pending`.

    A fixed gateway must be one the merchant has switched on; raises NotFound otherwise.
    """
    payment = draft(order, merchant, ids=ids, now=now, uuid=uuid)
    place(tx, payment, ids=ids, keyring=keyring)
    return payment


def draft(order: Order, merchant: Merchant, *, ids: Ids, now: Instant, uuid: str | None = None) -> Payment:
    """Return the payment of an order, named but not yet stored: what it is to be answered with is known already."""
    nothing = Money(0, order.amount.currency)
    return Payment(
        id=0,
        uuid=uuid or ids.uuid7(),
        reference="txn_" + ids.hex(16),
        token=ids.timed_hex(64),
        owner=merchant.owner,
        merchant_uuid=merchant.uuid,
        status=PaymentStatus.PENDING,
        detail=Detail.PENDING,
        amount=order.amount,
        fee=nothing,
        refunded=nothing,
        order_id=order.order_id,
        description=order.description,
        redirect_url=order.redirect_url,
        cancel_url=order.cancel_url,
        callback_url=order.callback_url,
        callback_bare=order.callback_bare,
        gateway=order.gateway,
        gateway_fixed=order.gateway_fixed,
        gateway_ref=None,
        contact=order.contact,
        metadata=order.metadata,
        late=False,
        created_at=now,
        updated_at=now,
        expires_at=after(now, (order.expires_in_s or merchant.expiry_s) * SECOND),
        completed_at=None,
    )


def place(tx: Tx, payment: Payment, *, ids: Ids, keyring: Keyring) -> None:
    """Store a drafted payment and record `payment.pending`.

    A fixed gateway must be one the merchant has switched on, and take the currency; raises NotFound, and Invalid.
    """
    if payment.gateway and payment.gateway_fixed:
        _require_gateway(tx, payment.gateway, owner=payment.owner)
        if not rules.takes(payment.gateway, payment.amount.currency):
            message = f"The gateway '{payment.gateway}' does not take {payment.amount.currency.code}."
            raise Invalid([Fault("gateway", "VALIDATION_FAILED", message)])
    _store(tx, payment, ids=ids, keyring=keyring)
    record(tx, payment_event("payment.pending", payment, at=payment.created_at), ids=ids)


def store_new(
    tx: Tx, order: Order, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant, uuid: str | None = None
) -> Payment:
    """Store a payment without an event, for callers that record a fuller one in the same transaction."""
    payment = draft(order, merchant, ids=ids, now=now, uuid=uuid)
    _store(tx, payment, ids=ids, keyring=keyring)
    return payment


def open_session(
    tx: Tx,
    payment_id: int,
    gateway: str,
    *,
    first_check_at: Instant | None,
    owner: Owner,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> tuple[Payment, Session]:
    """Start, or go on with, paying through a gateway. Safe to repeat: one session is open at a time.

    Raises NotFound, and Conflict where the payment may not be paid now, by this gateway, or has been tried too often.
    """
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    _require_gateway(tx, gateway, owner=owner)
    session = store.open_session(tx, payment.id, owner=owner)
    if session is not None and session.gateway == gateway:
        return payment, session
    started = rules.start(payment, gateway, now=now)
    if session is not None:
        if session.state is SessionState.UNKNOWN:
            raise Conflict("TRY_UNCONFIRMED", "The last try is still being confirmed. Wait a moment before another.")
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason="another method was chosen")
    if store.session_count(tx, payment.id, owner=owner) >= SESSIONS_MAX:
        raise Conflict("TOO_MANY_TRIES", "This payment was tried too often. Ask the shop for a new one.")
    opened = store.insert_session(tx, "ses_" + ids.timed_hex(), payment, gateway, next_check_at=first_check_at, now=now)
    store.update(tx, started)
    record(tx, payment_event("payment.processing", started, at=now), ids=ids)
    return started, opened


def note_submission(tx: Tx, session: Session, detail: str, *, keyring: Keyring, now: Instant) -> tuple[Session, bool]:
    """Write down what the payer submitted before the gateway is asked. The first submission stands.

    Return the session, and whether this was the first: then the caller calls the gateway, which nobody else does.
    Raises Conflict where the session is over, or its payment cannot be paid any more.
    """
    payment = _locked(tx, session.payment_id, owner=session.owner, keyring=keyring)
    current = store.open_session(tx, payment.id, owner=payment.owner)
    if current is None or current.id != session.id:
        raise Conflict("INVALID_STATE", "This try is over. Choose how to pay.")
    if current.submitted:
        return current, False
    rules.start(payment, current.gateway, now=now)
    store.note_detail(tx, current, detail, next_check_at=after(now, CALL_OVER))
    return replace(current, state=SessionState.UNKNOWN, detail=detail, checks=0), True


def conclude(tx: Tx, session: Session, verdict: Verdict, *, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """Apply what the gateway said of a session. Safe to repeat, in any order, by any number of callers."""
    payment = _locked(tx, session.payment_id, owner=session.owner, keyring=keyring)
    if isinstance(verdict, PaidVerdict) and verdict.amount.units > 0:
        store.update_session(tx, session, state=SessionState.PAID, now=now, provider_ref=verdict.ref)
        receipt = Receipt(session.owner, session.gateway, "", verdict.ref, verdict.amount, now)
        return receive(tx, payment, receipt, ids=ids, now=now)
    current = store.open_session(tx, payment.id, owner=payment.owner)
    if current is None or (current.id, current.detail) != (session.id, session.detail):
        return payment  # somebody else was told meanwhile, or the payer has sent something since it was asked
    match verdict:
        case UnpaidVerdict(VerdictState.FAILED | VerdictState.CANCELLED):
            return _decline(tx, payment, current, verdict, ids=ids, now=now)
        case _:  # nobody knows yet; nothing at all is no payment either
            at = _next_check(payment, current, now)
            store.update_session(tx, current, state=current.state, now=now, next_check_at=at)
            return payment


def receive(tx: Tx, payment: Payment, receipt: Receipt, *, ids: Ids, now: Instant) -> Payment:
    """Record that money arrived for a locked payment. Safe to repeat: a receipt counts once."""
    fee = fee_of(tx, receipt.amount, gateway=receipt.gateway, owner=payment.owner)
    match rules.receive(payment, receipt, fee=fee, now=now):
        case rules.Paid(completed):
            if not booking.complete(tx, receipt, completed, now=now):
                return _claimed(tx, payment, receipt, now=now)
            end_try(tx, completed, now=now)
            record(tx, payment_event("payment.completed", completed, at=now), ids=ids)
            return completed
        case rules.Repeated():
            counted = booking.credit(
                tx, receipt, fee=fee, origin="repeat", payment_id=payment.id, public_id=None, now=now
            )
            if counted is None:
                return _claimed(tx, payment, receipt, now=now)
            review.open_item(tx, payment, "paid twice", receipt_id=counted, now=now)
            return payment
        case rules.Parked(parked, reason):
            if not booking.hold(tx, receipt, parked, reason, now=now):
                return _claimed(tx, payment, receipt, now=now)
            return parked


def end_try(tx: Tx, payment: Payment, *, now: Instant) -> None:
    """Close the form a payer of a payment that was paid otherwise has before them.

    A try whose outcome is awaited goes on: its money, if there is any, must be heard of.
    """
    session = store.open_session(tx, payment.id, owner=payment.owner)
    if session is not None and session.state is SessionState.OPEN:
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason="paid otherwise")


def require_cancellable(tx: ReadTx, payment: Payment, *, now: Instant) -> None:
    """Raise Conflict where a payment cannot be cancelled: it is over, or its money may be on its way."""
    rules.end(payment, PaymentStatus.CANCELLED, now=now)
    if rules.awaited(payment, store.open_session(tx, payment.id, owner=payment.owner), now=now):
        raise Conflict("TRY_UNCONFIRMED", "The last try is still being confirmed. Wait a moment before cancelling.")


def cancel(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment at the payer's or merchant's wish. Raises Conflict where money may be on its way.

    Callers ask an open session's gateway first (flow.cancel): "paid" wins.
    """
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    if payment.status is PaymentStatus.CANCELLED:
        return payment
    require_cancellable(tx, payment, now=now)
    session = store.open_session(tx, payment.id, owner=owner)
    ended = rules.end(payment, PaymentStatus.CANCELLED, now=now)
    return _end(tx, ended, session, "payment.cancelled", ids=ids, now=now)


def expire(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment whose time has passed. Safe to repeat, and to call for one that may not expire yet."""
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    if not payment.open or now < payment.expires_at or payment.detail is Detail.PENDING_REVIEW:
        return payment
    session = store.open_session(tx, payment.id, owner=owner)
    if rules.awaited(payment, session, now=now):
        return payment
    ended = rules.end(payment, PaymentStatus.EXPIRED, now=now)
    return _end(tx, ended, session, "payment.expired", ids=ids, now=now)


def _store(tx: Tx, payment: Payment, *, ids: Ids, keyring: Keyring) -> None:
    owner, now = payment.owner, payment.created_at
    customer_id = customers.remember(
        tx, payment.contact, owner=owner, merchant_uuid=payment.merchant_uuid, ids=ids, keyring=keyring, now=now
    )
    store.insert(
        tx,
        uuid=payment.uuid,
        reference=payment.reference,
        token=payment.token,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        units=payment.amount.units,
        currency=payment.amount.currency.code,
        order_id=payment.order_id,
        description=payment.description,
        redirect_url=payment.redirect_url,
        cancel_url=payment.cancel_url,
        callback_url=payment.callback_url,
        callback_bare=int(payment.callback_bare),
        gateway=payment.gateway,
        gateway_fixed=int(payment.gateway_fixed),
        customer_id=customer_id,
        metadata=payment.metadata,
        now=now,
        expires_at=payment.expires_at,
    )


def _end(tx: Tx, ended: Payment, session: Session | None, kind: str, *, ids: Ids, now: Instant) -> Payment:
    if session is not None:
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason=ended.status.value)
    store.update(tx, ended)
    record(tx, payment_event(kind, ended, at=now), ids=ids)
    return ended


def _decline(tx: Tx, payment: Payment, session: Session, verdict: UnpaidVerdict, *, ids: Ids, now: Instant) -> Payment:
    """End the session and let the payer try again; past its time the payment expires instead."""
    store.update_session(tx, session, state=SessionState.DECLINED, now=now, reason=verdict.reason or "declined")
    waiting = rules.reopen(payment, now=now)
    if waiting.status is PaymentStatus.PENDING and now >= waiting.expires_at:
        ended = rules.end(waiting, PaymentStatus.EXPIRED, now=now)
        return _end(tx, ended, None, "payment.expired", ids=ids, now=now)
    store.update(tx, waiting)
    return waiting


def _next_check(payment: Payment, session: Session, now: Instant) -> Instant:
    """Return when a gateway that does not know yet is asked again: by schedule, and at the payment's time."""
    step = session.checks if session.submitted else session.checks + 1
    at = after(now, CHECK_WAITS_S[min(step, len(CHECK_WAITS_S) - 1)] * SECOND)
    return payment.expires_at if now < payment.expires_at < at else at


def _claimed(tx: Tx, payment: Payment, receipt: Receipt, *, now: Instant) -> Payment:
    """Return a payment whose money is counted already; if another one has it, a person must see why."""
    counted = store.counted_receipt(tx, receipt)
    if counted is None or counted["payment_id"] == payment.id:
        return payment
    waiting = rules.parked(payment, now=now)
    store.update(tx, waiting)
    reason = "its money was counted for another payment"
    review.open_item(tx, waiting, reason, receipt_id=counted["id"], now=now)
    return waiting


def _locked(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring) -> Payment:
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment


def _require_gateway(tx: Tx, slug: str, *, owner: Owner) -> None:
    if slug not in {gateway.slug for gateway in gateways.active(tx, owner=owner)}:
        raise NotFound("GATEWAY_NOT_FOUND", f"Gateway '{slug}' is not configured or inactive.")
