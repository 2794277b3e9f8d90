"""Decisions about payouts: values in, values out (pix-api.md §15, §16.3)."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from opentill.kernel.calendar import is_night
from opentill.kernel.clock import HOUR, MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Refused
from opentill.kernel.money import Money
from opentill.ledger import AVAILABLE, FEES, HELD, Entry, Journal, clearing
from opentill.pix.model import GATEWAY
from opentill.pix.payouts.model import Failure, Payout, State
from opentill.pix.policy import Policy
from opentill.pix.port import PayoutState, ProviderPayout
from opentill.pix.rejections import ANYTHING_ELSE, BY_CODE, BY_REASON

QUEUED_MAX: Final = 2 * HOUR
QUEUE_WAIT: Final = 3 * SECOND
SUBMIT_LEASE: Final = MINUTE  # a call is over by then; who finds it still submitting asks the bank
SEND_WITHIN: Final = 30 * SECOND  # of being taken: the longest call still ends within the lease
POLLS: Final = tuple(SECOND * s for s in (2, 5, 10, 30, 60, 120, 300))
POLLS_THEN: Final = 10 * MINUTE
ALERT_AFTER: Final = 30 * MINUTE


class Step(Enum):
    """One arrow that an answer of the bank moves a payout along."""

    PROCESS = auto()  # O7
    GO_ON = auto()  # unknown or held → processing
    HOLD = auto()  # O9
    CONFIRM = auto()  # O10
    FAIL = auto()  # O8, O11
    CONTRADICT = auto()  # O13


def check_limits(policy: Policy, amount: Money, *, sent_today: Money, now: Instant) -> None:
    """Raises Refused where a payout is not allowed, with the text of pix-api.md §12.3."""
    if not policy.payouts:
        raise Refused("PAYOUTS_DISABLED", "Payouts are disabled")
    if policy.payout_max_units is not None and amount.units > policy.payout_max_units:
        raise Refused("LIMIT_EXCEEDED", "Transaction limit exceeded")
    if policy.payout_day_units is not None and (sent_today + amount).units > policy.payout_day_units:
        raise Refused("LIMIT_EXCEEDED", "Daily limit exceeded")
    if policy.payout_night_units is not None and is_night(now) and amount.units > policy.payout_night_units:
        raise Refused("LIMIT_EXCEEDED", "Night limit exceeded")


def needs_approval(policy: Policy, amount: Money) -> bool:
    return policy.approve_from_units is not None and amount.units >= policy.approve_from_units


def steps(state: State, said: PayoutState) -> Sequence[Step] | None:
    """Return the arrows a bank's answer stands for, none where it is no news; None where there is no such arrow."""
    match state, said:
        case (_, PayoutState.UNKNOWN):
            return ()
        case (State.SUBMITTING, PayoutState.PROCESSING):
            return (Step.PROCESS,)
        case (State.SUBMITTING, PayoutState.HELD):
            return (Step.PROCESS, Step.HOLD)
        case (State.SUBMITTING, PayoutState.COMPLETED):
            return (Step.PROCESS, Step.CONFIRM)
        case (State.UNKNOWN | State.HELD, PayoutState.PROCESSING):
            return (Step.GO_ON,)
        case (State.UNKNOWN | State.PROCESSING, PayoutState.HELD):
            return (Step.HOLD,)
        case (State.UNKNOWN | State.PROCESSING | State.HELD, PayoutState.COMPLETED):
            return (Step.CONFIRM,)
        case (State.SUBMITTING | State.UNKNOWN | State.PROCESSING | State.HELD, PayoutState.FAILED):
            return (Step.FAIL,)
        case (State.PROCESSING, PayoutState.PROCESSING) | (State.HELD, PayoutState.HELD):
            return ()
        case (State.COMPLETED | State.RETURNED, PayoutState.COMPLETED) | (State.FAILED, PayoutState.FAILED):
            return ()
        case (State.FAILED, PayoutState.COMPLETED):
            return (Step.CONTRADICT,)
        case _:
            return None


def may_send(payout: Payout, *, now: Instant) -> bool:
    """Tell whether who took a payout may still send it: the call ends before anybody else may ask about it."""
    return payout.submitted_at is not None and now < after(payout.submitted_at, SEND_WITHIN)


def is_being_sent(payout: Payout, *, now: Instant) -> bool:
    """Tell whether a call that sends a payout may be under way, the first or a later one."""
    if payout.state is not State.UNKNOWN or payout.submitted_at is None or payout.due_at is None:
        return payout.state is State.SUBMITTING
    return now < payout.due_at == after(payout.submitted_at, SUBMIT_LEASE)


def agrees(payout: Payout, said: ProviderPayout) -> bool:
    """Tell whether the bank speaks of what was asked for. What does not agree is never booked."""
    return said.ref == payout.id and said.amount_centavos == payout.amount.minor


def failure_of(code: str | None, rail_code: str | None, detail: str | None) -> Failure:
    """Return why a payout failed, in the rail's word and in ours (pix-rail.md §10)."""
    row = BY_CODE.get(rail_code or "") or BY_REASON.get(code or "")
    if row is None:
        return Failure(rail_code or detail or ANYTHING_ELSE.reason.upper(), code or ANYTHING_ELSE.reason, False)
    return Failure(row.code or row.reason.upper(), row.reason, row.retryable)


def next_poll(tries: int, now: Instant) -> Instant:
    """Return when the bank is asked again about a payout it has (pix-rail.md §6.8)."""
    return after(now, POLLS[tries] if tries < len(POLLS) else POLLS_THEN)


def held_journal(payout: Payout) -> Journal:
    """Hold amount and fee (L4)."""
    return _journal(payout, "payout.held", AVAILABLE.debit(payout.hold), HELD.credit(payout.hold))


def released_journal(payout: Payout) -> Journal:
    """Give amount and fee back (L5)."""
    return _journal(payout, "payout.released", HELD.debit(payout.hold), AVAILABLE.credit(payout.hold))


def completed_journal(payout: Payout) -> Journal:
    """The held money has left the bank (L6)."""
    left = clearing(f"{GATEWAY}:{payout.account_id}").credit(payout.amount)
    return _journal(payout, "payout.completed", HELD.debit(payout.hold), left, FEES.credit(payout.fee))


def contradicted_journal(payout: Payout) -> Journal:
    """Money that had been given back to the merchant has left the bank after all (L15)."""
    left = clearing(f"{GATEWAY}:{payout.account_id}").credit(payout.amount)
    return _journal(payout, "payout.contradicted", AVAILABLE.debit(payout.hold), left, FEES.credit(payout.fee))


def returned_journal(payout: Payout, amount: Money, *, public_id: str) -> Journal:
    """Money came back from the recipient's bank (L7)."""
    return Journal(
        owner=payout.owner,
        kind="payout.returned",
        source_type="payout_return",
        source_id=public_id,
        entries=(clearing(f"{GATEWAY}:{payout.account_id}").debit(amount), AVAILABLE.credit(amount)),
    )


def _journal(payout: Payout, kind: str, *entries: Entry) -> Journal:
    return Journal(owner=payout.owner, kind=kind, source_type="payout", source_id=payout.id, entries=entries)
