"""Use cases of contests: each function is one arrow of pix-api.md §16.5, or a few, in one transaction.

Locks are taken receipt first, where one is contested or went back, then contest, then the merchant's accounts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentill import ledger
from opentill.db import ReadTx, Tx
from opentill.events import Event, record
from opentill.kernel.clock import HOUR, Instant, after
from opentill.kernel.errors import NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money, from_minor
from opentill.kernel.owner import Owner
from opentill.operators.reasons import Reason
from opentill.operators.review import call_person
from opentill.payments.infractions import rules, store
from opentill.payments.infractions.model import ALIVE, UNDECIDED, Contested, Infraction, State
from opentill.pix.identifiers import refund_id
from opentill.pix.model import BRL, Account
from opentill.pix.policy import policy_of
from opentill.pix.port import InfractionState, ProviderInfraction, ProviderReturn, ReturnState

TO_SEND = "to send"
REMINDERS = (48 * HOUR, 24 * HOUR, 6 * HOUR)  # before the deadline


def hear(tx: Tx, account: Account, said: ProviderInfraction, *, ids: Ids, now: Instant) -> Infraction | None:
    """Book what the bank says of a contest (D1, D4, D6, D7). Safe to repeat: what is no news changes nothing."""
    receipt = store.lock_contested(tx, said.e2e_id, account.id, owner=account.owner)
    if receipt is None:
        call_person(tx, account.owner, "infraction", said.ref, Reason.UNKNOWN_CONTESTED, {}, once=True, now=now)
        return None
    current = store.lock_ref(tx, said.ref, receipt)
    if current is None:
        current = _open(tx, receipt, said, ids=ids, now=now)
    if current.state not in UNDECIDED:
        return current
    match said.state:
        case InfractionState.ACCEPTED:
            return _accept(tx, current, at=said.resolved_at or now, ids=ids, now=now)
        case InfractionState.REJECTED:
            return _dismiss(tx, current, State.REJECTED, at=said.resolved_at or now, ids=ids, now=now)
        case InfractionState.CANCELLED:
            return _dismiss(tx, current, State.CANCELLED, at=said.resolved_at or now, ids=ids, now=now)
        case _:
            return current


def note_return(tx: Tx, account: Account, end_to_end_id: str, came: ProviderReturn, *, ids: Ids, now: Instant) -> bool:
    """Book money that went back because of a contest (D5, D8), once per return id; return whether it was new."""
    if came.nature not in rules.MED or came.state is not ReturnState.COMPLETED:
        return False
    if store.has_return(tx, account.id, came):
        return False
    receipt = store.lock_contested(tx, end_to_end_id, account.id, owner=account.owner)
    if receipt is None or store.has_return(tx, receipt.account_id, came):  # somebody may have booked it meanwhile
        return False
    infraction = store.lock_alive(tx, receipt)
    if infraction is None:
        infraction = _unannounced(tx, receipt, came, ids=ids, now=now)
    elif infraction.state in UNDECIDED:  # the money tells what the bank has not said yet
        infraction = _accept(tx, infraction, at=now, ids=ids, now=now)
    public_id = refund_id(ids, now)
    if not store.insert_return(tx, infraction, came, public_id=public_id, uuid=ids.uuid7(), now=now):
        return False
    amount = from_minor(came.amount_centavos, BRL)
    of_block = min(infraction.blocked, amount)
    returned = replace(infraction, returned=infraction.returned + amount, blocked=infraction.blocked - of_block)
    ledger.post(tx, rules.returned_journal(returned, amount, of_block=of_block, public_id=public_id), now=now)
    if returned.returned >= returned.amount:
        _finish(tx, returned, return_id=store.name_of(came), ids=ids, now=now)
    else:
        store.update(tx, returned)
    return True


def short_blocks(tx: Tx, *, owner: Owner) -> Sequence[Infraction]:
    """Lock and return the contests that wait for money. Before a credit is posted: contest first, then accounts."""
    return store.lock_short(tx, owner=owner)


def top_up(tx: Tx, short: Sequence[Infraction], *, owner: Owner, now: Instant) -> None:
    """Fill blocks up with what has come in (D2), in the transaction of the credit."""
    if not short:
        return
    available = ledger.lock_available(tx, BRL, owner=owner)
    for infraction in short:
        amount = min(infraction.missing, available)
        if amount.units > 0:
            store.update(tx, _blocked(tx, infraction, amount, now=now))
            available -= amount


def defend(
    tx: Tx, med_id: str, text: str, evidence: Sequence[Mapping[str, Any]], *, owner: Owner, ids: Ids, now: Instant
) -> Infraction:
    """Take a merchant's defence, once (D3). Raises NotFound and Conflict."""
    infraction = store.lock(tx, med_id, owner=owner)
    if infraction is None:
        raise NotFound("MED_NOT_FOUND", "MED not found")
    rules.require_defensible(infraction, now=now)
    defended = replace(
        infraction,
        state=State.DEFENDED,
        defense_text=text,
        evidence=json.dumps(list(evidence), ensure_ascii=False),
        defended_at=now,
        task=TO_SEND,
        due_at=now,
    )
    store.update(tx, defended)
    _say(tx, defended, "infraction.defense_submitted", at=now, ids=ids)
    return defended


def take(tx: Tx, infraction: Infraction, *, until: Instant) -> bool:
    """Keep a contest with something due for oneself; False where somebody else does it."""
    return store.take(tx, infraction, until=until)


def handed_on(tx: Tx, infraction: Infraction, *, by_hand: bool, now: Instant) -> None:
    """Save that a defence was given to the bank, or is to be forwarded by an operator."""
    current = _locked(tx, infraction)
    if current.task != TO_SEND:
        return
    if by_hand:
        call_person(tx, current.owner, "infraction", current.id, Reason.FORWARD_DEFENCE, {}, now=now)
    store.update(tx, replace(current, task="by hand" if by_hand else "sent", due_at=_next_due(current, now)))


def put_off(tx: Tx, infraction: Infraction, *, at: Instant) -> None:
    store.update(tx, replace(_locked(tx, infraction), due_at=at))


def remind_or_close(tx: Tx, infraction: Infraction, *, ids: Ids, now: Instant) -> None:
    """Do what time asks for: remind of a deadline, or end what was watched for ninety days (D5)."""
    current = _locked(tx, infraction)
    if current.due_at is None or current.due_at > now:
        return
    if current.state is State.ACCEPTED and now >= current.watched_until_at:
        _finish(tx, current, return_id=None, ids=ids, now=now)
        return
    if current.state is State.OPEN and now < current.defense_until_at:
        hours = (current.defense_until_at - now) // HOUR + 1
        call_person(tx, current.owner, "infraction", current.id, Reason.HOURS_LEFT, {}, now=now, hours=hours)
    store.update(tx, replace(current, due_at=_next_due(current, now)))


def find(tx: ReadTx, med_id: str, *, owner: Owner) -> Infraction | None:
    return store.find(tx, med_id, owner=owner)


def find_ref(tx: ReadTx, account: Account, ref: str) -> Infraction | None:
    """Return the contest an account's bank knows by *ref*."""
    return store.find_ref(tx, ref, account.id, owner=account.owner)


def listed(tx: ReadTx, *, owner: Owner) -> Sequence[Infraction]:
    return store.listed(tx, owner=owner)


def is_contested(tx: ReadTx, receipt_id: int) -> bool:
    return store.is_contested(tx, receipt_id)


def _open(tx: Tx, receipt: Contested, said: ProviderInfraction, *, ids: Ids, now: Instant) -> Infraction:
    """The bank announces a contest (D1): block what the merchant has, and say so."""
    amount = from_minor(said.amount_centavos, BRL)
    deadline = said.defense_deadline_at or after(said.opened_at, rules.DEFENSE_WITHIN)
    blocks = amount.units >= policy_of(tx, owner=receipt.owner).block_from_units
    made = _made(
        tx, receipt, ref=said.ref, state=State.OPEN, kind=said.kind, amount=amount, blocks=blocks,
        reason=said.reason, counterpart=said.counterpart_ispb, opened_at=said.opened_at, deadline=deadline, ids=ids,
        now=now,
    )  # fmt: skip
    opened = replace(made, due_at=_next_due(made, now))
    store.insert(tx, opened, now=now)
    available = ledger.lock_available(tx, BRL, owner=receipt.owner)
    amount = min(opened.missing, available)
    if amount.units > 0:
        opened = _blocked(tx, opened, amount, now=now)
        store.update(tx, opened)
    _say(tx, opened, "infraction.created", at=now, ids=ids)
    _say_refund(tx, opened, "dispute.created", "pix.refund.requested", at=now, ids=ids)
    return opened


def _unannounced(tx: Tx, receipt: Contested, came: ProviderReturn, *, ids: Ids, now: Instant) -> Infraction:
    """Money went back for a contest nobody announced (D8)."""
    made = _made(
        tx, receipt, ref=store.name_of(came), state=State.ACCEPTED, kind="REFUND_REQUEST",
        amount=from_minor(came.amount_centavos, BRL), blocks=False, reason=rules.REASONS.get(came.nature),
        counterpart=None, opened_at=came.requested_at or now, deadline=after(now, rules.DEFENSE_WITHIN), ids=ids,
        now=now,
    )  # fmt: skip
    resolved = replace(made, resolved_at=now)
    store.insert(tx, resolved, now=now)
    _say_refund(tx, resolved, "dispute.created", "pix.refund.requested", at=now, ids=ids)
    return resolved


def _made(
    tx: Tx,
    receipt: Contested,
    *,
    ref: str,
    state: State,
    kind: str,
    amount: Money,
    blocks: bool,
    reason: str | None,
    counterpart: str | None,
    opened_at: Instant,
    deadline: Instant,
    ids: Ids,
    now: Instant,
) -> Infraction:
    nothing = Money(0, BRL)
    return Infraction(
        id=store.next_id(tx, now),
        receipt=receipt,
        ref=ref,
        state=state,
        kind=kind,
        amount=amount,
        blocked=nothing,
        returned=nothing,
        moves=0,
        blocks=blocks,
        reason=reason,
        counterpart_ispb=counterpart or receipt.payer_ispb,
        defense_text=None,
        evidence=None,
        block_id=ids.uuid7(),
        task=None,
        opened_at=opened_at,
        defense_until_at=deadline,
        defended_at=None,
        resolved_at=None,
        completed_at=None,
        watched_until_at=after(receipt.received_at, rules.WATCHED),
        due_at=None,
    )


def _accept(tx: Tx, infraction: Infraction, *, at: Instant, ids: Ids, now: Instant) -> Infraction:
    """The bank agrees with the payer (D4). What is blocked stays so until it has gone back."""
    accepted = replace(infraction, state=State.ACCEPTED, resolved_at=at, due_at=infraction.watched_until_at)
    store.update(tx, accepted)
    _say(tx, accepted, "infraction.resolved", at=now, ids=ids)
    return accepted


def _dismiss(tx: Tx, infraction: Infraction, state: State, *, at: Instant, ids: Ids, now: Instant) -> Infraction:
    """The bank disagrees with the payer, or the contest is taken back (D6, D7): the block is released."""
    dismissed = replace(_released(tx, infraction, now=now), state=state, resolved_at=at, completed_at=now, due_at=None)
    store.update(tx, dismissed)
    _say(tx, dismissed, "infraction.resolved", at=now, ids=ids)
    _say_refund(tx, dismissed, "dispute.resolved", "pix.refund.completed", at=now, ids=ids)
    return dismissed


def _finish(tx: Tx, infraction: Infraction, *, return_id: str | None, ids: Ids, now: Instant) -> None:
    """All went back that will (D5): what is left of the block is released."""
    finished = replace(_released(tx, infraction, now=now), state=State.RETURNED, completed_at=now, due_at=None)
    store.update(tx, finished)
    _say_refund(tx, finished, "dispute.resolved", "pix.refund.completed", at=now, ids=ids, return_id=return_id)


def _blocked(tx: Tx, infraction: Infraction, amount: Money, *, now: Instant) -> Infraction:
    more = replace(infraction, blocked=infraction.blocked + amount, moves=infraction.moves + 1)
    ledger.post(tx, rules.blocked_journal(more, amount), now=now)
    return more


def _released(tx: Tx, infraction: Infraction, *, now: Instant) -> Infraction:
    if not infraction.blocked.units:
        return infraction
    free = replace(infraction, blocked=Money(0, BRL), moves=infraction.moves + 1)
    ledger.post(tx, rules.released_journal(free, infraction.blocked), now=now)
    return free


def _next_due(infraction: Infraction, now: Instant) -> Instant | None:
    """Return when time asks for something next: a reminder, or the end of watching."""
    if infraction.state is State.OPEN:
        moments = [Instant(infraction.defense_until_at - before) for before in REMINDERS]
        return next((moment for moment in moments if moment > now), None)
    return infraction.watched_until_at if infraction.state in ALIVE else None


def _say(tx: Tx, infraction: Infraction, kind: str, *, at: Instant, ids: Ids) -> None:
    _record(tx, infraction, kind, f"pix.{kind}", {"infraction": rules.infraction_part(infraction)}, at=at, ids=ids)


def _say_refund(
    tx: Tx, infraction: Infraction, kind: str, pix_type: str, *, at: Instant, ids: Ids, return_id: str | None = None
) -> None:
    part = {"med": rules.med_part(infraction, return_id=return_id)}
    _record(tx, infraction, kind, pix_type, part, at=at, ids=ids)


def _record(
    tx: Tx, infraction: Infraction, kind: str, pix_type: str, parts: Mapping[str, Any], *, at: Instant, ids: Ids
) -> None:
    merchant = {"uuid": infraction.receipt.merchant_uuid, "account_id": infraction.owner.account_id}
    record(
        tx,
        Event(
            type=kind,
            owner=infraction.owner,
            object_type="infraction",
            object_id=infraction.id,
            at=at,
            document={"merchant": merchant, **parts},
            pix_type=pix_type,
        ),
        ids=ids,
    )


def _locked(tx: Tx, infraction: Infraction) -> Infraction:
    current = store.lock(tx, infraction.id, owner=infraction.owner)
    if current is None:
        raise NotFound("MED_NOT_FOUND", "MED not found")
    return current
