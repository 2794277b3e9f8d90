"""Payments' use cases: one function, one transaction (merchant-api.md §10).

Every state change holds the payment's row lock, its journal and its event. Ids, keys and the time are arguments.
"""

from dataclasses import replace

from opentill import ledger
from opentill.db import Tx
from opentill.events import record
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, Verdict, VerdictState
from opentill.kernel.clock import MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways
from opentill.merchants.fees import fee_of
from opentill.merchants.model import Merchant
from opentill.payments import customers, review, rules, store
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
GRACE = 60 * MINUTE  # an open session may outlive its payment's expiry by this (merchant-api.md §11.5)


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
            raise Conflict("INVALID_STATE", "The last try is still being confirmed. Wait a moment before another.")
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason="another method was chosen")
    if store.session_count(tx, payment.id) >= SESSIONS_MAX:
        raise Conflict("TOO_MANY_TRIES", "This payment was tried too often. Ask the shop for a new one.")
    opened = store.insert_session(tx, "ses_" + ids.timed_hex(), payment, gateway, next_check_at=first_check_at, now=now)
    store.update(tx, started)
    record(tx, payment_event("payment.processing", started, at=now), ids=ids)
    return started, opened


def note_submission(tx: Tx, session: Session, detail: str, *, now: Instant) -> Session:
    """Write down what the payer submitted before the gateway is asked, and return what stands: the first submission.

    Raises Conflict where the session is over.
    """
    if store.note_detail(tx, session, detail, next_check_at=after(now, 5 * SECOND)):
        return replace(session, state=SessionState.UNKNOWN, detail=detail)
    current = store.open_session(tx, session.payment_id, owner=session.owner)
    if current is None or current.id != session.id:
        raise Conflict("INVALID_STATE", "This try is over. Choose how to pay.")
    return current


def conclude(tx: Tx, session: Session, verdict: Verdict, *, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """Apply what the gateway said of a session. Safe to repeat, in any order, by any number of callers."""
    payment = _locked(tx, session.payment_id, owner=session.owner, keyring=keyring)
    match verdict:
        case PaidVerdict(ref, amount) if amount.units > 0:
            store.update_session(tx, session, state=SessionState.PAID, now=now, provider_ref=ref)
            receipt = Receipt(session.owner, session.gateway, "", ref, amount, now)
            return receive(tx, payment, receipt, ids=ids, now=now)
        case UnpaidVerdict(VerdictState.FAILED | VerdictState.CANCELLED):
            return _decline(tx, payment, session, verdict, ids=ids, now=now)
        case _ if not _is_open(tx, payment, session):  # somebody else was told meanwhile
            return payment
        case _:  # nobody knows yet; nothing at all is no payment either
            wait_s = CHECK_WAITS_S[min(session.checks, len(CHECK_WAITS_S) - 1)]
            store.update_session(
                tx, session, state=SessionState.UNKNOWN, now=now, next_check_at=after(now, wait_s * SECOND)
            )
            return payment


def receive(tx: Tx, payment: Payment, receipt: Receipt, *, ids: Ids, now: Instant) -> Payment:
    """Record that money arrived for a locked payment. Safe to repeat: a receipt counts once."""
    fee = fee_of(tx, receipt.amount, gateway=receipt.gateway, owner=payment.owner)
    decision = rules.receive(payment, receipt, fee=fee, now=now)
    origin, state = "charge", "booked"
    match decision:
        case rules.Repeated():
            origin = "repeat"
        case rules.Parked():
            state = "held"
    late = isinstance(decision, rules.Paid) and decision.payment.late
    receipt_id = store.insert_receipt(
        tx,
        receipt,
        public_id=None,
        payment_id=payment.id,
        fee=Money(0, fee.currency) if state == "held" else fee,
        origin=origin,
        state=state,
        late=late,
        now=now,
    )
    if receipt_id is None:
        return payment
    match decision:
        case rules.Paid(completed):
            store.update(tx, completed)
            ledger.post(tx, rules.paid_journal(completed, receipt), now=now)
            record(tx, payment_event("payment.completed", completed, at=now), ids=ids)
            return completed
        case rules.Repeated():
            ledger.post(tx, rules.credited_journal(receipt, str(receipt_id), fee=fee), now=now)
            review.open_item(tx, payment, "paid twice", receipt_id=receipt_id, now=now)
            return payment
        case rules.Parked(parked, reason):
            store.update(tx, parked)
            ledger.post(tx, rules.parked_journal(receipt, str(receipt_id)), now=now)
            review.open_item(tx, parked, reason, receipt_id=receipt_id, now=now)
            return parked


def cancel(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment at the payer's or merchant's wish. Raises Conflict where money may be on its way.

    Callers ask an open session's gateway first (flow.cancel): "paid" wins.
    """
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    if payment.status is PaymentStatus.CANCELLED:
        return payment
    session = store.open_session(tx, payment.id, owner=owner)
    if session is not None and session.state is SessionState.UNKNOWN:
        raise Conflict("INVALID_STATE", "The last try is still being confirmed. Wait a moment before cancelling.")
    ended = rules.end(payment, PaymentStatus.CANCELLED, now=now)
    return _end(tx, ended, session, "payment.cancelled", ids=ids, now=now)


def expire(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment whose time has passed. Safe to repeat, and to call for one that may not expire yet."""
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    if not payment.open or now < payment.expires_at or payment.detail is Detail.PENDING_REVIEW:
        return payment
    session = store.open_session(tx, payment.id, owner=owner)
    if session is not None and session.state is SessionState.UNKNOWN and now < after(payment.expires_at, GRACE):
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
    if not _is_open(tx, payment, session):
        return payment
    store.update_session(tx, session, state=SessionState.DECLINED, now=now, reason=verdict.reason or "declined")
    waiting = rules.reopen(payment, now=now)
    if waiting.status is PaymentStatus.PENDING and now >= waiting.expires_at:
        ended = rules.end(waiting, PaymentStatus.EXPIRED, now=now)
        return _end(tx, ended, None, "payment.expired", ids=ids, now=now)
    store.update(tx, waiting)
    return waiting


def _is_open(tx: Tx, payment: Payment, session: Session) -> bool:
    current = store.open_session(tx, payment.id, owner=payment.owner)
    return current is not None and current.id == session.id


def _locked(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring) -> Payment:
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment


def _require_gateway(tx: Tx, slug: str, *, owner: Owner) -> None:
    if slug not in {gateway.slug for gateway in gateways.active(tx, owner=owner)}:
        raise NotFound("GATEWAY_NOT_FOUND", f"Gateway '{slug}' is not configured or inactive.")
