"""What gateways said and what money did: a try is concluded, a payment receives its money."""

from typing import Final

from opentill.db import ReadTx, Tx
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, Verdict, VerdictState
from opentill.kernel.clock import DAY, SECOND, Instant, after
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.secret import Keyring
from opentill.merchants import options
from opentill.merchants.fees import fee_of
from opentill.operators.reasons import Reason
from opentill.payments import booking, rules, store
from opentill.payments.completion import record_completed
from opentill.payments.model import SESSIONS_MAX, Conversion, Payment, PaymentStatus, Receipt, Session, SessionState
from opentill.payments.review import queue as review
from opentill.payments.service.endings import end
from opentill.payments.service.locking import locked
from opentill.payments.service.tries import end_try
from opentill.pix.model import GATEWAY as PIX

CHECK_WAITS_S: Final = (5, 60, 120, 300, 600, 1800)  # a session's gateway is asked after these (merchant-api.md §15.3)


def conclude(tx: Tx, session: Session, verdict: Verdict, *, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """Apply what the gateway said of a session. Safe to repeat, in any order, by any number of callers."""
    payment = locked(tx, session.payment_id, owner=session.owner, keyring=keyring)
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
    fee, session = tx.together(
        lambda tx: fee_of(tx, priced, gateway=receipt.gateway, owner=payment.owner),
        lambda tx: store.open_session(tx, payment.id, owner=payment.owner),
    )
    late = not payment.open and not repeated and reviews_late(tx, payment, receipt.gateway)
    match rules.receive(payment, receipt, fee=fee, charge=charge, reviews_late=late, now=now):
        case rules.Paid(completed):
            if not booking.complete(tx, receipt, completed, now=now):
                return claimed(tx, payment, receipt, now=now)
            end_try(tx, completed, session, was=payment, now=now)
            record_completed(tx, completed, ids=ids, now=now)
            return completed
        case rules.Repeated():
            counted = booking.credit(
                tx, receipt, fee=fee, origin="repeat", payment_id=payment.id, public_id=None, now=now
            )
            if counted is None:
                return claimed(tx, payment, receipt, now=now)
            review.open_item(tx, payment, Reason.PAID_TWICE, receipt_id=counted, now=now)
            return payment
        case rules.Parked(parked, reason):
            if not booking.hold(tx, receipt, parked, reason, now=now):
                return claimed(tx, payment, receipt, now=now)
            return parked


def claimed(tx: Tx, payment: Payment, receipt: Receipt, *, now: Instant) -> Payment:
    """Return a locked payment whose money is counted already; if not for it, a person must see why."""
    counted = store.counted_receipt(tx, receipt)
    if counted is None or counted["payment_id"] == payment.id:
        return payment
    waiting = rules.parked(payment, now=now)
    store.update(tx, waiting)
    reason = Reason.COUNTED_FOR_NONE if counted["payment_id"] is None else Reason.COUNTED_ELSEWHERE
    review.open_item(tx, waiting, reason, receipt_id=counted["id"], now=now)
    return waiting


def reviews_late(tx: ReadTx, payment: Payment, gateway: str) -> bool:
    """Tell whether money that comes after the end waits for a person. PIX is final, so its money never does."""
    return gateway != PIX and options.of_merchant(tx, payment.owner).late_payments == "review"


def conversion_at(tx: ReadTx, payment: Payment, gateway: str, received: Money) -> Conversion | None:
    """Return what a payment was converted to when it was tried with a gateway that brought another currency."""
    if received.currency == payment.amount.currency:
        return None
    return store.last_conversion(tx, payment.id, gateway, owner=payment.owner)


def _decline(tx: Tx, payment: Payment, session: Session, verdict: UnpaidVerdict, *, ids: Ids, now: Instant) -> Payment:
    """End the session and let the payer try again, if they may; past its time the payment expires instead."""
    store.update_session(tx, session, state=SessionState.DECLINED, now=now, reason=verdict.reason or "declined")
    if payment.open and not payment.under_review and _was_last(tx, payment):
        failed = rules.end(payment, PaymentStatus.FAILED, now=now)
        return end(tx, failed, None, "payment.failed", ids=ids, now=now)
    waiting = rules.reopen(payment, now=now)
    if waiting.status is PaymentStatus.PENDING and now >= waiting.expires_at:
        ended = rules.end(waiting, PaymentStatus.EXPIRED, now=now)
        return end(tx, ended, None, "payment.expired", ids=ids, now=now)
    store.update(tx, waiting)
    return waiting


def _was_last(tx: Tx, payment: Payment) -> bool:
    """Tell whether a declined try was the payer's last: the merchant lets them have one, or all are used up."""
    if options.of_merchant(tx, payment.owner).fail_on_decline:
        return True
    return store.session_count(tx, payment.id, owner=payment.owner) >= SESSIONS_MAX


def _next_check(payment: Payment, session: Session, now: Instant) -> Instant:
    """Return when a gateway that does not know yet is asked again: by schedule, and at the payment's time; daily where
    the payment is over and nothing waits for the answer.
    """
    if not payment.open and now >= after(payment.expires_at, rules.PATIENCE):
        return after(now, DAY)
    step = session.checks if session.submitted else session.checks + 1
    at = after(now, CHECK_WAITS_S[min(step, len(CHECK_WAITS_S) - 1)] * SECOND)
    return payment.expires_at if now < payment.expires_at < at else at
