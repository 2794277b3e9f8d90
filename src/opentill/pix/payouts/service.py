"""Use cases of payouts: each function is one arrow of pix-api.md §16.3, or a few, in one transaction.

Locks are taken payout first, then the merchant's accounts.
"""

from dataclasses import replace
from typing import Any

from opentill import ledger
from opentill.db import ReadTx, Tx
from opentill.events import Event, record
from opentill.kernel.calendar import day_begins, day_of
from opentill.kernel.clock import DAY, MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Conflict, NotFound, Refused
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money, from_minor
from opentill.kernel.owner import Owner
from opentill.merchants.fees import payout_fee_of
from opentill.operators.reasons import Reason
from opentill.operators.review import call_person
from opentill.pix import store as accounts
from opentill.pix.identifiers import end_to_end_id, payout_id, receipt_id
from opentill.pix.model import BRL
from opentill.pix.payouts import rules, store
from opentill.pix.payouts.model import PAID, TO_SEND, Failure, Order, Payout, State
from opentill.pix.payouts.rules import Step
from opentill.pix.policy import lock_policy, policy_of
from opentill.pix.port import PayoutReturn, ProviderPayout

WATCHED: int = 90 * DAY  # a payout may come back this long
WATCH_EVERY: int = DAY
PROCESSED = "Transaction has already been processed"


def accept(tx: Tx, order: Order, *, owner: Owner, by: str, own_e2e: bool, ids: Ids, now: Instant) -> Payout:
    """Hold the money and write down what is to be sent (O1). Raises Refused, and then nothing is left.

    *by* names who asks; *own_e2e* tells whether the bank takes an end-to-end id of ours.
    """
    account = accounts.active_account(tx, owner=owner)
    if account is None:
        raise Refused("PAYOUTS_DISABLED", "Payouts are disabled")
    policy = policy_of(tx, owner=owner)
    fee = payout_fee_of(tx, order.amount, owner=owner)
    # The check, the limits and the hold are of one moment: nobody else takes from this merchant meanwhile.
    available = ledger.lock_available(tx, BRL, owner=owner)
    if policy.payouts and available < order.amount + fee:
        raise Refused("INSUFFICIENT_BALANCE", "Insufficient balance")
    today = Money(0, BRL)
    if policy.payout_day_units is not None:
        today = store.sent_since(tx, day_begins(day_of(now)), owner=owner)
    rules.check_limits(policy, order.amount, sent_today=today, now=now)
    waits = rules.needs_approval(policy, order.amount)
    rail_id = (order.end_to_end_id or end_to_end_id(ids, account.bank_ispb, now)) if own_e2e else None
    payout = Payout(
        id=payout_id(ids, now),
        uuid=ids.uuid7(),
        owner=owner,
        merchant_uuid=account.merchant_uuid,
        account_id=account.id,
        state=State.PENDING_APPROVAL if waits else State.ACCEPTED,
        amount=order.amount,
        fee=fee,
        returned=Money(0, BRL),
        target=order.target,
        recipient_key=order.recipient_key,
        description=order.description,
        external_id=order.external_id,
        end_to_end_id=rail_id,
        recipient_name=order.recipient_name,
        recipient_document=order.recipient_document,
        failure=None,
        created_by=by,
        decided_by=None,
        decision_reason=None,
        due_at=after(now, policy.approve_within_s * SECOND) if waits else now,
        tries=0,
        submitted_at=None,
        queued_at=None,
        created_at=now,
        updated_at=now,
        completed_at=None,
        failed_at=None,
    )
    store.insert(tx, payout)
    ledger.post(tx, rules.held_journal(payout), now=now)
    reach("payout.accepted")
    return payout


def approve(tx: Tx, payout_id: str, *, owner: Owner, by: str, now: Instant) -> Payout:
    """A second person lets a payout go (O2)."""
    payout = _undecided(tx, payout_id, owner=owner, by=by)
    approved = replace(payout, state=State.ACCEPTED, decided_by=by, due_at=now, tries=0, updated_at=now)
    store.update(tx, approved)
    return approved


def reject(tx: Tx, payout_id: str, *, owner: Owner, by: str, reason: str | None, ids: Ids, now: Instant) -> Payout:
    """A second person stops a payout (O3)."""
    payout = _undecided(tx, payout_id, owner=owner, by=by)
    decided = replace(payout, decided_by=by, decision_reason=reason)
    return _fail(tx, decided, rules.failure_of("approval_rejected", None, None), ids=ids, now=now)


def expire_approval(tx: Tx, payout: Payout, *, ids: Ids, now: Instant) -> None:
    """Nobody decided in time (O3)."""
    current = _locked(tx, payout)
    if current.state is State.PENDING_APPROVAL and current.due_at is not None and current.due_at <= now:
        _fail(tx, current, rules.failure_of("approval_expired", None, None), ids=ids, now=now)


def take(tx: Tx, payout: Payout, *, ids: Ids, now: Instant) -> Payout | None:
    """Write down that a payout is about to be sent (O6, O5); None where it is not to be, or not yet (O4)."""
    current = _locked(tx, payout)
    if current.state not in TO_SEND or current.due_at is None or current.due_at > now:
        return None
    if current.state is State.QUEUED and now >= after(current.queued_at or now, rules.QUEUED_MAX):
        _fail(tx, current, rules.failure_of("queue_timeout", None, None), ids=ids, now=now)
        return None
    if not _quota_left(tx, current, now=now):
        _queue(tx, current, ids=ids, now=now)
        return None
    return _submitting(tx, current, State.SUBMITTING, now=now)


def take_again(tx: Tx, payout: Payout, *, now: Instant) -> Payout | None:
    """Send a payout once more that the bank certainly never got; None where somebody else is doing so."""
    current = _locked(tx, payout)
    if current.state is not State.UNKNOWN or current.submitted_at != payout.submitted_at:
        return None
    return _submitting(tx, current, State.UNKNOWN, now=now)


def not_sent(tx: Tx, payout: Payout, *, ids: Ids, now: Instant, wait_s: int | None = None) -> None:
    """The bank certainly got nothing: the payout waits in the queue (O4). One in doubt stays in doubt."""
    current = _locked(tx, payout)
    if current.state is State.SUBMITTING:
        _queue(tx, current, ids=ids, now=now, wait=(wait_s or 0) * SECOND)
    elif current.state is State.UNKNOWN:
        store.update(tx, replace(current, due_at=rules.next_poll(current.tries, now), tries=current.tries + 1))


def doubt(tx: Tx, payout: Payout, *, ids: Ids, now: Instant) -> Payout:
    """Nobody knows whether the bank got it (O7): from now on it is asked, and not told."""
    current = _locked(tx, payout)
    if current.state is not State.SUBMITTING:
        return current
    unknown = replace(current, state=State.UNKNOWN, tries=0, due_at=rules.next_poll(0, now), updated_at=now)
    store.update(tx, unknown)
    _say(tx, unknown, "payout.processing", at=now, ids=ids)
    return unknown


def refuse(tx: Tx, payout: Payout, failure: Failure, *, ids: Ids, now: Instant) -> None:
    """The bank refused a payout when it was sent (O8, O11)."""
    current = _locked(tx, payout)
    if current.state in (State.SUBMITTING, State.UNKNOWN):
        _fail(tx, current, failure, ids=ids, now=now)


def hear(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    """Book what the bank says of a payout (O7–O13). Safe to repeat: what is no news changes nothing."""
    current = _locked(tx, payout)
    arrows = rules.steps(current.state, said.state)
    if not rules.agrees(current, said):
        call_person(tx, current.owner, "payout", current.id, Reason.OTHER_AMOUNT, _seen(said), now=now)
        return _put_off(tx, doubt(tx, current, ids=ids, now=now), now=now)
    if arrows is None:
        call_person(tx, current.owner, "payout", current.id, Reason.CONTRADICTED, _seen(said), now=now)
        return _put_off(tx, current, now=now)
    known = _with_facts(current, said)
    for arrow in arrows:
        known = _STEPS[arrow](tx, known, said, ids=ids, now=now)
    if known.state in PAID:
        for came_back in said.returns:
            known = _take_back(tx, known, came_back, ids=ids, now=now)
    reach("payout.hearing")
    return _put_off(tx, known, now=now)


def hear_nothing(tx: Tx, payout: Payout, *, now: Instant) -> None:
    """The bank did not answer, or not clearly. An operator is told once that lasts."""
    current = _locked(tx, payout)
    if current.due_at is None:
        return
    since = current.submitted_at or current.created_at
    if current.state not in PAID and now >= after(since, rules.ALERT_AFTER):
        call_person(tx, current.owner, "payout", current.id, Reason.OUTCOME_UNKNOWN, {}, now=now)
    _put_off(tx, current, now=now)


def find(tx: ReadTx, payout_id: str, *, owner: Owner) -> Payout | None:
    return store.find(tx, payout_id, owner=owner)


def payout_part(payout: Payout) -> dict[str, Any]:
    """Return what an event says of a payout (docs/events.md)."""
    failure = payout.failure
    return {
        "transaction_id": payout.id,
        "external_id": payout.external_id,
        "end_to_end_id": payout.end_to_end_id,
        "amount_units": payout.amount.units,
        "fee_units": payout.fee.units,
        "net_units": payout.hold.units,
        "recipient_key": payout.recipient_key,
        "counterparty_name": payout.recipient_name,
        "description": payout.description,
        "created_at": payout.created_at,
        "completed_at": payout.completed_at,
        "failed_at": payout.failed_at,
        "failure_reason": failure.reason if failure else None,
        "failure_code": failure.code if failure else None,
        "retryable": failure.retryable if failure else None,
    }


def _undecided(tx: Tx, payout_id: str, *, owner: Owner, by: str) -> Payout:
    payout = store.lock(tx, payout_id, owner=owner)
    if payout is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "Transaction not found")
    if payout.state is not State.PENDING_APPROVAL:
        raise Conflict("INVALID_STATE", PROCESSED)
    if payout.created_by == by and policy_of(tx, owner=owner).approve_distinct:
        raise Refused("SAME_PERSON", "The creator of a payout cannot approve it")
    return payout


def _quota_left(tx: Tx, payout: Payout, *, now: Instant) -> bool:
    """Tell whether another may go now. The policy stays locked, so that of two workers one counts the other's."""
    per_minute = lock_policy(tx, owner=payout.owner).payouts_per_minute
    if per_minute is None:
        return True
    return store.submitted_since(tx, Instant(now - MINUTE), owner=payout.owner) < per_minute


def _submitting(tx: Tx, payout: Payout, state: State, *, now: Instant) -> Payout:
    lease = after(now, rules.SUBMIT_LEASE)
    taken = replace(payout, state=state, submitted_at=now, due_at=lease, tries=0, updated_at=now)
    store.update(tx, taken)
    return taken


def _queue(tx: Tx, payout: Payout, *, ids: Ids, now: Instant, wait: int = 0) -> None:
    due_at = after(now, max(wait, rules.QUEUE_WAIT))
    queued = replace(
        payout, state=State.QUEUED, due_at=due_at, queued_at=payout.queued_at or now, submitted_at=None, updated_at=now
    )
    store.update(tx, queued)
    if payout.queued_at is None:
        _say(tx, queued, "payout.queued", at=now, ids=ids)


def _fail(tx: Tx, payout: Payout, failure: Failure, *, ids: Ids, now: Instant) -> Payout:
    failed = replace(payout, state=State.FAILED, failure=failure, failed_at=now, due_at=None, updated_at=now)
    store.update(tx, failed)
    ledger.post(tx, rules.released_journal(failed), now=now)
    _say(tx, failed, "payout.failed", at=now, ids=ids)
    reach("payout.failing")
    return failed


def _process(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    _say(tx, payout, "payout.processing", at=now, ids=ids)
    return replace(payout, state=State.PROCESSING, tries=0, updated_at=now)


def _go_on(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    return replace(payout, state=State.PROCESSING, tries=0, updated_at=now)


def _hold(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    _say(tx, payout, "payout.held", at=now, ids=ids)
    return replace(payout, state=State.HELD, tries=0, updated_at=now)


def _confirm(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    completed = replace(payout, state=State.COMPLETED, completed_at=said.settled_at or now, tries=0, updated_at=now)
    ledger.post(tx, rules.completed_journal(completed), now=now)
    _say(tx, completed, "payout.confirmed", at=now, ids=ids)
    reach("payout.confirming")
    return completed


def _fail_at_bank(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    return _fail(tx, payout, rules.failure_of(said.code, said.rail_code, said.detail), ids=ids, now=now)


def _contradict(tx: Tx, payout: Payout, said: ProviderPayout, *, ids: Ids, now: Instant) -> Payout:
    call_person(tx, payout.owner, "payout", payout.id, Reason.PAID_AFTER_FAILURE, _seen(said), now=now)
    paid = replace(
        payout, state=State.COMPLETED, completed_at=said.settled_at or now, failure=None, tries=0, updated_at=now
    )
    ledger.post(tx, rules.contradicted_journal(paid), now=now)
    _say(tx, paid, "payout.confirmed", at=now, ids=ids)
    return paid


_STEPS = {
    Step.PROCESS: _process,
    Step.GO_ON: _go_on,
    Step.HOLD: _hold,
    Step.CONFIRM: _confirm,
    Step.FAIL: _fail_at_bank,
    Step.CONTRADICT: _contradict,
}


def _take_back(tx: Tx, payout: Payout, came_back: PayoutReturn, *, ids: Ids, now: Instant) -> Payout:
    """Book what the recipient's bank sent back, once per return id (O12)."""
    amount, public_id = from_minor(came_back.amount_centavos, BRL), receipt_id(ids, now)
    total = payout.returned + amount
    if not store.insert_return(tx, payout, came_back, public_id=public_id, uuid=ids.uuid7(), now=now):
        return payout
    if total > payout.amount:  # it is on our account all the same, and the merchant's
        call_person(tx, payout.owner, "payout", payout.id, Reason.MORE_CAME_BACK, {}, now=now)
        total = payout.amount
    state = State.RETURNED if total == payout.amount else payout.state
    returned = replace(payout, state=state, returned=total, updated_at=now)
    ledger.post(tx, rules.returned_journal(returned, amount, public_id=public_id), now=now)
    part = {
        "transaction_id": payout.id,
        "external_id": payout.external_id,
        "end_to_end_id": payout.end_to_end_id,
        "return_id": came_back.return_id,
        "amount_units": amount.units,
        "reason": came_back.reason,
        "returned_at": came_back.returned_at,
        "total_returned_units": total.units,
    }
    _say(tx, returned, "payout.returned", at=now, ids=ids, **{"return": part})
    _say(tx, returned, "return.received", at=now, ids=ids, **{"return": part})
    reach("payout.returning")
    return returned


def _put_off(tx: Tx, payout: Payout, *, now: Instant) -> Payout:
    """Save a payout and when the bank is asked about it next: while it is under way, and then for what comes back."""
    if payout.state is State.FAILED or payout.state is State.RETURNED:
        due_at = None
    elif payout.state is State.COMPLETED:
        due_at = after(now, WATCH_EVERY) if now < after(payout.completed_at or now, WATCHED) else None
    else:
        due_at = rules.next_poll(payout.tries, now)
    saved = replace(payout, due_at=due_at, tries=payout.tries + 1)
    store.update(tx, saved)
    return saved


def _with_facts(payout: Payout, said: ProviderPayout) -> Payout:
    """Return the payout with what only the bank knows: its end-to-end id and who the recipient is."""
    return replace(
        payout,
        end_to_end_id=said.e2e_id or payout.end_to_end_id,
        recipient_name=said.recipient.name or payout.recipient_name,
        recipient_document=masked(said.recipient.document) or payout.recipient_document,
    )


def masked(document: str | None) -> str | None:
    """Return a person's document with its ends hidden: `***456789**`. A company's is public."""
    if document is None or len(document) != 11 or not document.isdigit():
        return document
    return f"***{document[3:9]}**"


def _seen(said: ProviderPayout) -> dict[str, object]:
    return {"status": said.provider_status, "amount_centavos": said.amount_centavos, "detail": said.detail}


def _say(tx: Tx, payout: Payout, kind: str, *, at: Instant, ids: Ids, **parts: Any) -> None:
    merchant = {"uuid": payout.merchant_uuid, "account_id": payout.owner.account_id}
    record(
        tx,
        Event(
            type=kind,
            owner=payout.owner,
            object_type="payout",
            object_id=payout.id,
            at=at,
            document={"merchant": merchant, "payout": payout_part(payout), **parts},
            pix_type=f"pix.{kind}",
        ),
        ids=ids,
    )


def _locked(tx: Tx, payout: Payout) -> Payout:
    current = store.lock(tx, payout.id, owner=payout.owner)
    if current is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "Transaction not found")
    return current
