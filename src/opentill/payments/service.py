"""Payments' use cases: one function, one transaction (merchant-api.md §10).

Every state change holds the payment's row lock, its journal and its event. Ids, keys and the time are arguments.
"""

from dataclasses import replace

from opentill.db import ReadTx, Tx
from opentill.events import record
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, Verdict, VerdictState
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways, options
from opentill.merchants.fees import fee_of
from opentill.merchants.gateways import ActiveGateway
from opentill.merchants.model import Merchant
from opentill.payments import booking, conversion, rules, store
from opentill.payments.completion import record_completed
from opentill.payments.customers import service as customers
from opentill.payments.documents import payment_event
from opentill.payments.model import (
    SESSIONS_MAX,
    Changes,
    Conversion,
    Detail,
    Order,
    Payment,
    PaymentStatus,
    Receipt,
    Session,
    SessionState,
)
from opentill.payments.review import queue as review
from opentill.payments.review import submissions
from opentill.pix.model import GATEWAY as PIX

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
        refunding=nothing,
        lost=nothing,
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
        dispute_status=None,
        charge=None,
        created_at=now,
        updated_at=now,
        expires_at=after(now, (order.expires_in_s or merchant.expiry_s) * SECOND),
        completed_at=None,
        link=order.link,
        invoice=order.invoice,
        customer_id=order.customer_id,
    )


def place(tx: Tx, payment: Payment, *, ids: Ids, keyring: Keyring) -> None:
    """Store a drafted payment and record `payment.pending`.

    A fixed gateway must be one the merchant has switched on, and take the currency; raises NotFound, and Invalid.
    """
    if payment.gateway and payment.gateway_fixed:
        way = require_gateway(tx, payment.gateway, owner=payment.owner)
        try:
            conversion.fix(tx, payment.amount, way, owner=payment.owner, now=payment.created_at)
        except Conflict as conflict:
            raise Invalid([Fault("gateway", "VALIDATION_FAILED", conflict.message)]) from conflict
    _store(tx, payment, ids=ids, keyring=keyring)
    record(tx, payment_event("payment.pending", payment, at=payment.created_at), ids=ids)
    reach("payment.created")


def store_new(
    tx: Tx, order: Order, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant, uuid: str | None = None
) -> Payment:
    """Store a payment without an event, for callers that record a fuller one in the same transaction."""
    payment = draft(order, merchant, ids=ids, now=now, uuid=uuid)
    _store(tx, payment, ids=ids, keyring=keyring)
    return payment


def amend(tx: Tx, payment_id: int, changes: Changes, *, owner: Owner, keyring: Keyring, now: Instant) -> Payment:
    """Change what a merchant may still change in a pending payment. Raises Conflict for any other."""
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    shown = rules.shown_status(payment, now)
    if shown is not PaymentStatus.PENDING:
        raise Conflict("INVALID_STATE", f"The payment is {shown} and cannot be changed any more.")
    store.amend(tx, payment, changes, now=now)
    return _locked(tx, payment_id, owner=owner, keyring=keyring)


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
    way = require_gateway(tx, gateway, owner=owner)
    session = store.open_session(tx, payment.id, owner=owner)
    if session is not None and session.gateway == way.slug:
        return payment, session
    charge = conversion.fix(tx, payment.amount, way, owner=owner, now=now)
    started = rules.start(payment, way.slug, charge=charge, manual=way.manual, now=now)
    if session is not None:
        if session.state is SessionState.UNKNOWN:
            raise Conflict("TRY_UNCONFIRMED", "The last try is still being confirmed. Wait a moment before another.")
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason="another method was chosen")
    if store.session_count(tx, payment.id, owner=owner) >= SESSIONS_MAX:
        raise Conflict("TOO_MANY_TRIES", "This payment was tried too often. Ask the shop for a new one.")
    opened = store.insert_session(
        tx,
        "ses_" + ids.timed_hex(),
        payment,
        way.slug,
        charge=charge,
        next_check_at=None if way.manual else first_check_at,
        now=now,
    )
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
    reach("submission.written")
    return replace(current, state=SessionState.UNKNOWN, detail=detail, checks=0), True


def conclude(tx: Tx, session: Session, verdict: Verdict, *, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """Apply what the gateway said of a session. Safe to repeat, in any order, by any number of callers."""
    payment = _locked(tx, session.payment_id, owner=session.owner, keyring=keyring)
    if isinstance(verdict, PaidVerdict) and verdict.amount.units > 0:
        store.update_session(tx, session, state=SessionState.PAID, now=now, provider_ref=verdict.ref)
        reach("session.concluding")
        receipt = Receipt(session.owner, session.gateway, "", verdict.ref, verdict.amount, now)
        return receive(tx, payment, receipt, charge=session.charge, ids=ids, now=now)
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


def receive(
    tx: Tx, payment: Payment, receipt: Receipt, *, charge: Conversion | None = None, ids: Ids, now: Instant
) -> Payment:
    """Record that money arrived for a locked payment. Safe to repeat: a receipt counts once."""
    repeated = payment.status is PaymentStatus.COMPLETED
    priced = receipt.amount if repeated else payment.amount
    fee = fee_of(tx, priced, gateway=receipt.gateway, owner=payment.owner)
    late = not payment.open and not repeated and reviews_late(tx, payment, receipt.gateway)
    match rules.receive(payment, receipt, fee=fee, charge=charge, reviews_late=late, now=now):
        case rules.Paid(completed):
            if not booking.complete(tx, receipt, completed, now=now):
                return _claimed(tx, payment, receipt, now=now)
            end_try(tx, completed, was=payment, now=now)
            record_completed(tx, completed, ids=ids, now=now)
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


def reviews_late(tx: ReadTx, payment: Payment, gateway: str) -> bool:
    """Tell whether money that comes after the end waits for a person. PIX is final, so its money never does."""
    return gateway != PIX and options.of_merchant(tx, payment.owner).late_payments == "review"


def conversion_at(tx: ReadTx, payment: Payment, gateway: str, received: Money) -> Conversion | None:
    """Return what a payment was converted to when it was tried with a gateway that brought another currency."""
    if received.currency == payment.amount.currency:
        return None
    return store.last_conversion(tx, payment.id, gateway, owner=payment.owner)


def end_try(tx: Tx, payment: Payment, *, was: Payment, now: Instant) -> None:
    """Close the form a payer of a payment that was paid otherwise has before them, and what they submitted by hand.

    A try whose outcome is awaited goes on: its money, if there is any, must be heard of.
    """
    session = store.open_session(tx, payment.id, owner=payment.owner)
    if session is not None and session.state is SessionState.OPEN:
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason="paid otherwise")
    if was.under_review:
        submissions.decide(tx, payment.id, "replaced", owner=payment.owner, now=now)
        review.close_submissions(tx, payment, "paid otherwise", now=now)


def close_try(tx: Tx, payment: Payment, state: SessionState, *, now: Instant, reason: str | None = None) -> None:
    """End a payment's open try, if it has one, as a person decided."""
    session = store.open_session(tx, payment.id, owner=payment.owner)
    if session is not None:
        store.update_session(tx, session, state=state, now=now, reason=reason)


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


def run_out(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring, now: Instant) -> None:
    """Let the time of an open sandbox payment end now. Raises Conflict for any other."""
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    if payment.owner.mode is not Mode.SANDBOX or not payment.open:
        raise Conflict("INVALID_STATE", "Only time of an open sandbox payment can run out.")
    store.update(tx, replace(payment, expires_at=min(payment.expires_at, now)))


def expire(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment whose time has passed. Safe to repeat, and to call for one that may not expire yet."""
    payment = _locked(tx, payment_id, owner=owner, keyring=keyring)
    if not payment.open or now < payment.expires_at or payment.under_review:
        return payment
    session = store.open_session(tx, payment.id, owner=owner)
    if rules.awaited(payment, session, now=now):
        return payment
    ended = rules.end(payment, PaymentStatus.EXPIRED, now=now)
    return _end(tx, ended, session, "payment.expired", ids=ids, now=now)


def _store(tx: Tx, payment: Payment, *, ids: Ids, keyring: Keyring) -> None:
    owner, now = payment.owner, payment.created_at
    customer_id = payment.customer_id or customers.remember(
        tx,
        payment.contact,
        owner=owner,
        merchant_uuid=payment.merchant_uuid,
        ids=ids,
        keyring=keyring,
        now=now,
        updates=payment.link is None,  # at a link's page anybody may type anybody's address
    )
    store.insert(
        tx,
        uuid=payment.uuid,
        reference=payment.reference,
        token=payment.token,
        **owner.columns,
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
        link_id=payment.link.id if payment.link else None,
        invoice_id=payment.invoice.id if payment.invoice else None,
        metadata=payment.metadata,
        now=now,
        expires_at=payment.expires_at,
    )


def _end(tx: Tx, ended: Payment, session: Session | None, kind: str, *, ids: Ids, now: Instant) -> Payment:
    if session is not None:
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason=ended.status.value)
    store.update(tx, ended)
    record(tx, payment_event(kind, ended, at=now), ids=ids)
    reach("payment.ending")
    return ended


def _decline(tx: Tx, payment: Payment, session: Session, verdict: UnpaidVerdict, *, ids: Ids, now: Instant) -> Payment:
    """End the session and let the payer try again, if they may; past its time the payment expires instead."""
    store.update_session(tx, session, state=SessionState.DECLINED, now=now, reason=verdict.reason or "declined")
    if payment.open and not payment.under_review and _was_last(tx, payment):
        failed = rules.end(payment, PaymentStatus.FAILED, now=now)
        return _end(tx, failed, None, "payment.failed", ids=ids, now=now)
    waiting = rules.reopen(payment, now=now)
    if waiting.status is PaymentStatus.PENDING and now >= waiting.expires_at:
        ended = rules.end(waiting, PaymentStatus.EXPIRED, now=now)
        return _end(tx, ended, None, "payment.expired", ids=ids, now=now)
    store.update(tx, waiting)
    return waiting


def _was_last(tx: Tx, payment: Payment) -> bool:
    """Tell whether a declined try was the payer's last: the merchant lets them have one, or all are used up."""
    if options.of_merchant(tx, payment.owner).fail_on_decline:
        return True
    return store.session_count(tx, payment.id, owner=payment.owner) >= SESSIONS_MAX


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


def require_gateway(tx: Tx, slug: str, *, owner: Owner) -> ActiveGateway:
    """Return a gateway the merchant has switched on; for `manual`, the first of the manual ones. Raises NotFound."""
    for way in gateways.active(tx, owner=owner):
        if way.slug == slug or (slug == rules.MANUAL and way.manual):
            return way
    raise NotFound("GATEWAY_NOT_FOUND", f"Gateway '{slug}' is not configured or inactive.")
