"""The payer's tries: one session with a gateway at a time; ten at most."""

from dataclasses import replace
from typing import Final

from opentill.db import Tx
from opentill.events import record
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways
from opentill.merchants.gateways import ActiveGateway
from opentill.operators.reasons import Ending
from opentill.payments import conversion, rules, store
from opentill.payments.documents import payment_event
from opentill.payments.model import SESSIONS_MAX, Payment, Session, SessionState
from opentill.payments.review import queue as review
from opentill.payments.review import submissions
from opentill.payments.service.locking import locked

CALL_OVER: Final = 15 * SECOND  # by then the gateway's first call has ended, or its process died


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
    payment = locked(tx, payment_id, owner=owner, keyring=keyring)
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
    payment = locked(tx, session.payment_id, owner=session.owner, keyring=keyring)
    current = store.open_session(tx, payment.id, owner=payment.owner)
    if current is None or current.id != session.id:
        raise Conflict("INVALID_STATE", "This try is over. Choose how to pay.")
    if current.submitted:
        return current, False
    rules.start(payment, current.gateway, now=now)
    store.note_detail(tx, current, detail, next_check_at=after(now, CALL_OVER))
    reach("submission.written")
    return replace(current, state=SessionState.UNKNOWN, detail=detail, checks=0), True


def end_try(
    tx: Tx,
    payment: Payment,
    session: Session | None,
    *,
    was: Payment,
    paid_through: str | None = None,
    now: Instant,
) -> None:
    """End what a payer of a paid payment still has open: their try (*session*) and what they submitted.

    The caller has read the try: who books money reads it together with the fee.

    The try with the gateway it was *paid_through* is the one that was paid. Another whose outcome is awaited goes on:
    its money, if there is any, must be heard of.
    """
    if session is not None and session.gateway == paid_through:
        store.update_session(tx, session, state=SessionState.PAID, now=now, provider_ref=payment.gateway_ref)
    else:
        leave_try(tx, session, reason="paid otherwise", now=now)
    if was.under_review:
        submissions.decide(tx, payment.id, "replaced", owner=payment.owner, now=now)
        review.close_submissions(tx, payment, Ending.PAID_OTHERWISE, now=now)


def leave_try(tx: Tx, session: Session | None, *, reason: str, now: Instant) -> None:
    """End a try of a payment that is over; one whose outcome is unknown goes on: its money must be heard of."""
    if session is not None and session.state is SessionState.OPEN:
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason=reason)


def close_try(tx: Tx, payment: Payment, state: SessionState, *, now: Instant, reason: str | None = None) -> None:
    """End a payment's open try, if it has one, as a person decided. One whose outcome is unknown goes on."""
    session = store.open_session(tx, payment.id, owner=payment.owner)
    if session is not None and session.state is SessionState.OPEN:
        store.update_session(tx, session, state=state, now=now, reason=reason)


def require_gateway(tx: Tx, slug: str, *, owner: Owner) -> ActiveGateway:
    """Return a gateway the merchant has switched on; for `manual`, the first of the manual ones. Raises NotFound."""
    for way in gateways.active(tx, owner=owner):
        if way.slug == slug or (slug == rules.MANUAL and way.manual):
            return way
    raise NotFound("GATEWAY_NOT_FOUND", f"Gateway '{slug}' is not configured or inactive.")
