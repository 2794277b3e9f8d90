"""Payments end without money: somebody cancels, or the time runs out."""

from dataclasses import replace

from opentill.db import ReadTx, Tx
from opentill.events import record
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments import rules, store
from opentill.payments.documents import payment_event
from opentill.payments.model import Payment, PaymentStatus, Session
from opentill.payments.service.locking import locked
from opentill.payments.service.tries import leave_try


def require_cancellable(tx: ReadTx, payment: Payment, *, decided: bool = False, now: Instant) -> None:
    """Raise Conflict where a payment cannot be cancelled: it is over, or its money may be on its way.

    *decided*: by an operator, who may cancel also what is under review.
    """
    rules.end(payment, PaymentStatus.CANCELLED, decided=decided, now=now)
    if rules.awaited(payment, store.open_session(tx, payment.id, owner=payment.owner), now=now):
        raise Conflict("TRY_UNCONFIRMED", "The last try is still being confirmed. Wait a moment before cancelling.")


def cancel(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment at the payer's or merchant's wish. Raises Conflict where money may be on its way.

    Callers ask an open session's gateway first (flow.cancel): "paid" wins.
    """
    payment = locked(tx, payment_id, owner=owner, keyring=keyring)
    if payment.status is PaymentStatus.CANCELLED:
        return payment
    require_cancellable(tx, payment, now=now)
    session = store.open_session(tx, payment.id, owner=owner)
    ended = rules.end(payment, PaymentStatus.CANCELLED, now=now)
    return end(tx, ended, session, "payment.cancelled", ids=ids, now=now)


def run_out(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring, now: Instant) -> None:
    """Let the time of an open sandbox payment end now. Raises Conflict for any other."""
    payment = locked(tx, payment_id, owner=owner, keyring=keyring)
    if payment.owner.mode is not Mode.SANDBOX or not payment.open:
        raise Conflict("INVALID_STATE", "Only time of an open sandbox payment can run out.")
    store.update(tx, replace(payment, expires_at=min(payment.expires_at, now)))


def expire(tx: Tx, payment_id: int, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """End a payment whose time has passed. Safe to repeat, and to call for one that may not expire yet."""
    payment = locked(tx, payment_id, owner=owner, keyring=keyring)
    if not payment.open or now < payment.expires_at or payment.under_review:
        return payment
    session = store.open_session(tx, payment.id, owner=owner)
    if rules.awaited(payment, session, now=now):
        return payment
    ended = rules.end(payment, PaymentStatus.EXPIRED, now=now)
    return end(tx, ended, session, "payment.expired", ids=ids, now=now)


def end(tx: Tx, ended: Payment, session: Session | None, kind: str, *, ids: Ids, now: Instant) -> Payment:
    """Write down that a payment is over, and that the try that was open goes nowhere."""
    leave_try(tx, session, reason=ended.status.value, now=now)
    store.update(tx, ended)
    record(tx, payment_event(kind, ended, at=now), ids=ids)
    reach("payment.ending")
    return ended
