"""Paying through a gateway: intend, call, confirm. Nothing is asked of a gateway before it is written down.

A gateway's exception or time-out means *unknown*; `check_session` asks it until it knows.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.gateways.port import Gateway, GatewaySession, PaidVerdict, UnpaidVerdict, Verdict, VerdictState
from opentill.gateways.rounds import Lanes
from opentill.kernel.clock import MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.payments import queries, rules, service, store
from opentill.payments.model import Payment, PaymentStatus, Session, SessionState
from opentill.payments.pix import flow as pix_flow
from opentill.payments.pix import service as pix
from opentill.payments.review import decisions
from opentill.payments.review import queries as reviews
from opentill.payments.review.decisions import Actor
from opentill.payments.tools import Tools
from opentill.pix.model import GATEWAY as PIX
from opentill.pix.model import Charge

CALL_S: Final = 10  # a gateway that takes longer is asked again later
FIRST_CHECK: Final = MINUTE  # an opened session is asked about after this
FAULTY_AGAIN: Final = 5 * MINUTE  # what could not be dealt with is not tried again sooner
BATCH: Final = 100  # rows one round of a loop takes


async def choose_gateway(tools: Tools, token: str, slug: str) -> tuple[Payment, Session, Charge | None]:
    """Open a session with a gateway for the payer; for PIX, with its charge. Safe to repeat.

    Raises NotFound, Conflict where the payment cannot be paid so now, Busy where the bank cannot be reached.
    """
    payment = await _by_token(tools, token)
    now = tools.clock.now()
    first_check_at = None if slug == PIX else after(now, FIRST_CHECK)  # a charge has looks of its own
    payment, session = await tools.db.write(
        lambda tx: service.open_session(
            tx,
            payment.id,
            slug,
            first_check_at=first_check_at,
            owner=payment.owner,
            ids=tools.ids,
            keyring=tools.keyring,
            now=now,
        )
    )
    reach("session.opened")
    charge = await pix_flow.charge_for(tools, payment) if slug == PIX else None
    return payment, session, charge


async def submit(tools: Tools, token: str, form: Mapping[str, str]) -> Payment:
    """Carry out what the payer submitted in the open session. Safe to repeat: the first submission stands.

    Raises Conflict where there is no session any more, or its payment has run out.
    """
    payment = await _by_token(tools, token)
    session = await tools.db.read(lambda tx: queries.open_session(tx, payment))
    if session is None:
        raise Conflict("INVALID_STATE", "Choose how to pay first.")
    gateway = _gateway(tools, session.gateway)
    now = tools.clock.now()
    detail = gateway.read_form(form, _seen(session, payment), now=now)
    if detail is None:
        raise Invalid([Fault("outcome", "VALIDATION_FAILED", "The form was not understood. Please try again.")])
    noted, first = await tools.db.write(
        lambda tx: service.note_submission(tx, session, detail, keyring=tools.keyring, now=now)
    )
    if not first:
        return await check_session(tools, noted)
    reach("submission.noted")
    return await _ask(tools, noted, payment, pays_until=after(now, service.CALL_OVER))


async def check_session(tools: Tools, session: Session) -> Payment:
    """Ask a session's gateway what became of it and apply the answer. Safe to repeat.

    While the gateway's first call is under way it is not asked: it could truly say that it never got the payment.
    """
    return await _payment(tools, session) if session.under_way else await _check(tools, session)


async def _check(tools: Tools, session: Session) -> Payment:
    return await _ask(tools, session, await _payment(tools, session))


async def cancel(tools: Tools, token: str) -> Payment:
    """End a payment at the payer's wish. Raises as `cancel_payment`."""
    return await cancel_payment(tools, await _by_token(tools, token))


async def cancel_payment(tools: Tools, payment: Payment) -> Payment:
    """End a payment at the payer's or the merchant's wish; the gateway is asked first, and "paid" wins.

    Raises Conflict where the payment is over or its money may be on its way, Busy where a bank does not answer.
    """
    payment = await asked(tools, payment)
    if payment.status is not PaymentStatus.CANCELLED:  # refused before the bank is asked
        await tools.db.read(lambda tx: service.require_cancellable(tx, payment, now=tools.clock.now()))
    if await pix_flow.cancel_charge(tools, payment):
        return await _by_token(tools, payment.token)

    def end(tx: Tx) -> Payment:
        ended = service.cancel(
            tx, payment.id, owner=payment.owner, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now()
        )
        pix.require_no_code(tx, ended)
        return ended

    return await tools.db.write(end)


async def cancel_reviewed(tools: Tools, payment: Payment, *, by: Actor, reason: str) -> Payment:
    """End a payment that waits for a person, as that person decided; the gateway is asked first, and "paid" wins.

    Raises Conflict where it waits no more, somebody else decides it, or money is held or may be on its way, and Busy
    where a bank does not answer.
    """
    payment, now = await asked(tools, payment), tools.clock.now()
    await tools.db.read(lambda tx: decisions.require_cancellable(tx, payment, by=by, now=now))
    await pix_flow.cancel_charge(tools, payment)
    return await tools.db.write(
        lambda tx: decisions.cancel(
            tx,
            payment.id,
            owner=payment.owner,
            by=by,
            reason=reason,
            ids=tools.ids,
            keyring=tools.keyring,
            now=tools.clock.now(),
        )
    )


async def remove_code_of_item(tools: Tools, item_id: int, *, owner: Owner, by: Actor, reason: str) -> None:
    """Have the bank remove the code of an item's payment, before a person rejects it for good; "paid" wins.

    A payment that does not wait for a person any more ends with its code, as cancelled. Raises as `decisions.reject`,
    and Busy where a bank does not answer.
    """

    def require_rejectable(tx: Tx) -> Payment:
        now, keyring = tools.clock.now(), tools.keyring
        return decisions.payment_to_reject(tx, item_id, owner=owner, by=by, reason=reason, keyring=keyring, now=now)

    payment = await tools.db.write(require_rejectable)  # nothing is written, but the payment is locked while looked at
    if payment.open:
        await pix_flow.cancel_charge(tools, payment)


async def ask_about_item(tools: Tools, item_id: int, *, owner: Owner) -> None:
    """Ask the gateway of a try whose outcome is unknown, before a person decides on an item about its payment."""
    await _ask_about(tools, lambda tx: reviews.payment_of(tx, item_id, owner=owner), owner)


async def ask_about_receipt(tools: Tools, receipt_id: int, *, owner: Owner) -> None:
    """Ask the gateway of a try whose outcome is unknown, before a person gives back money of its payment."""

    def payment_of(tx: ReadTx) -> int | None:
        receipt = store.receipt(tx, receipt_id, owner=owner)
        return receipt.payment_id if receipt else None

    await _ask_about(tools, payment_of, owner)


async def asked(tools: Tools, payment: Payment) -> Payment:
    """Return a payment after its gateway was asked of a try whose outcome is unknown."""
    return await _ask_about(tools, lambda _tx: payment.id, payment.owner) or payment


async def _ask_about(tools: Tools, payment_of: Callable[[ReadTx], int | None], owner: Owner) -> Payment | None:
    """Ask a gateway what became of a payment's try; return the payment then, and None where nothing is unknown."""

    def unknown(tx: ReadTx) -> Session | None:
        payment_id = payment_of(tx)
        session = store.open_session(tx, payment_id, owner=owner) if payment_id is not None else None
        return session if session and session.state is SessionState.UNKNOWN else None

    session = await tools.db.read(unknown)
    return await check_session(tools, session) if session else None


async def check_due_sessions(tools: Tools, lanes: Lanes[str] | None = None) -> int:
    """Ask the gateways of the sessions that are due; return how many there were. Each gateway has a lane of its own."""
    lanes = lanes or Lanes[str]()
    due = await tools.db.read(lambda tx: store.due_sessions(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(
        due,
        lambda session: session.gateway,
        lambda session: _check(tools, session),
        put_off=lambda session: _put_off(tools, session),
    )


async def expire_due(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """End the payments whose time has passed, their gateway asked first; return how many were looked at.

    Page by page, so that payments which cannot be ended keep none behind them waiting. Each merchant has a lane of
    its own: the bank or gateway that hangs is theirs.
    """
    lanes, now = lanes or Lanes[int](), tools.clock.now()
    patience_ended, place = Instant(now - rules.PATIENCE), (Instant(0), 0)
    looked_at, faults = 0, list[Exception]()
    while True:

        def read(tx: ReadTx, after: tuple[Instant, int] = place) -> Sequence[store.Overdue]:
            return store.expired(tx, now=now, patience_ended=patience_ended, limit=BATCH, after=after)

        due = await tools.db.read(read)
        try:
            looked_at += await lanes.each(
                due,
                lambda found: found.owner.merchant_id,
                lambda found: _expire(tools, found.place[1], found.owner),
            )
        except ExceptionGroup as met:  # told once every payment had its turn
            faults += met.exceptions
        if len(due) < BATCH:
            break
        place = due[-1].place
    if faults:
        raise ExceptionGroup("some payments could not be ended", faults)
    return looked_at


async def run_out(tools: Tools, payment: Payment) -> None:
    """Let the time of an open sandbox payment end now, with all that follows. Raises Conflict for any other."""
    await tools.db.write(
        lambda tx: service.run_out(tx, payment.id, owner=payment.owner, keyring=tools.keyring, now=tools.clock.now())
    )
    await _expire(tools, payment.id, payment.owner)


async def _expire(tools: Tools, payment_id: int, owner: Owner) -> None:
    def load(tx: ReadTx) -> tuple[Payment | None, Session | None]:
        payment = store.one(tx, "p.id = :id", owner=owner, keyring=tools.keyring, id=payment_id)
        return payment, store.open_session(tx, payment_id, owner=owner)

    payment, session = await tools.db.read(load)
    if payment is None or await pix_flow.look_at_payment(tools, payment):
        return
    if session is not None and session.state is SessionState.UNKNOWN:
        await _check(tools, session)
    await tools.db.write(
        lambda tx: service.expire(
            tx, payment_id, owner=owner, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now()
        )
    )
    reach("payment.expired")


async def _ask(tools: Tools, session: Session, payment: Payment, *, pays_until: Instant | None = None) -> Payment:
    """Call the gateway and apply what it says. Only the first call may pay; the others only ask.

    Who pays is done before *pays_until*, or does not begin: then others may be told that the gateway got nothing.
    """
    verdict: Verdict
    pays = pays_until is not None and after(tools.clock.now(), CALL_S * SECOND) <= pays_until
    try:
        gateway = _gateway(tools, session.gateway)
        call = gateway.pay if pays else gateway.fetch_status
        verdict = await asyncio.wait_for(call(_seen(session, payment), now=tools.clock.now()), timeout=CALL_S)
    except Exception:  # whatever it is, and be the gateway no longer there: it has not said no
        verdict = UnpaidVerdict(VerdictState.UNKNOWN)
    reach("gateway.answered")
    for _ in range(verdict.times if isinstance(verdict, PaidVerdict) else 1):  # as often as the provider says it
        payment = await tools.db.write(
            lambda tx: service.conclude(
                tx, session, verdict, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now()
            )
        )
    reach("session.concluded")
    return payment


async def _put_off(tools: Tools, session: Session) -> None:
    later = after(tools.clock.now(), FAULTY_AGAIN)
    await tools.db.write(lambda tx: store.plan_check(tx, session, at=later))


async def _payment(tools: Tools, session: Session) -> Payment:
    found = await tools.db.read(
        lambda tx: store.one(tx, "p.id = :id", owner=session.owner, keyring=tools.keyring, id=session.payment_id)
    )
    if found is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return found


async def _by_token(tools: Tools, token: str) -> Payment:
    payment = await tools.db.read(lambda tx: queries.by_token(tx, token, keyring=tools.keyring))
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment


def _gateway(tools: Tools, slug: str) -> Gateway:
    gateway = tools.gateways.get(slug)
    if gateway is None:
        raise NotFound("GATEWAY_NOT_FOUND", f"Gateway '{slug}' is not configured or inactive.")
    return gateway


def _seen(session: Session, payment: Payment) -> GatewaySession:
    """Return the session as its gateway sees it."""
    charged = session.charge.amount if session.charge else payment.amount
    return GatewaySession(session.reference, charged, session.detail, session.opened_at, payment.expires_at)
