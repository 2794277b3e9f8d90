"""Decisions of the dispatcher: what an attempt means for its delivery and for its lane. Values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from math import ceil
from random import Random
from typing import Final

from opentill.kernel.clock import DAY, MINUTE, SECOND, Instant, after
from opentill.webhooks.model import Breaker, DeliveryState, Dialect, Klass, Result
from opentill.webhooks.schedules import Schedule, honour_retry_after, next_try

LOSSES_FREE: Final = 2  # the third loss in a row uses up a step of the schedule

WINDOW: Final = 60 * SECOND
WINDOW_ATTEMPTS_MIN: Final = 10
WINDOW_FAILED_PERCENT: Final = 70
TIMEOUTS_IN_A_ROW: Final = 5
FAILURES_IN_A_ROW: Final = 10
OPEN_FIRST: Final = 30 * SECOND
OPEN_MAX: Final = 15 * MINUTE
SLOW_DOWN_DEFAULT: Final = 10 * SECOND

DISABLE_AFTER: Final = 5 * DAY
DISABLE_ATTEMPTS_MIN: Final = 10

QUANTUM: Final = 4  # rows per lane and round while others wait
SHARES_PERCENT: Final = ((Klass.FIRST_TRY, 70), (Klass.RETRY, 90), (Klass.BULK, 100), (Klass.FIRST_TRY, 100))

OK: Final = "ok"
GONE: Final = "gone"
LOST: Final = "lost"
DROPPED: Final = "dropped"
SLOW_DOWN: Final = "slow_down"

# Outcomes that say something about one event or about us, not about the receiver's health.
NOT_FOR_THE_BREAKER: Final = frozenset(
    (
        "http_4xx",
        "redirect",
        GONE,
        "blocked_url",
        "blocked_address",
        "own_address",
        "auth_failed",
        "secret_failed",
        LOST,
        DROPPED,
    )
)


# What an attempt means for its delivery.


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery. *counted* tells whether the attempt used up a step of the schedule."""

    state: DeliveryState
    due_at: Instant | None = None
    klass: Klass | None = None
    reason: str | None = None
    counted: bool = True


def judge(result: Result, *, dialect: Dialect, schedule: Schedule, chance: Random) -> Verdict:
    """Decide what becomes of a delivery after an attempt (webhooks.md §5.6, §8.4)."""
    match result.outcome:
        case "ok":
            return Verdict(DeliveryState.DELIVERED)
        case "dropped":
            return Verdict(DeliveryState.DUE, counted=False)
        case "lost" if result.lost < LOSSES_FREE:
            return Verdict(DeliveryState.DUE, counted=False)
        case "gone":
            return Verdict(DeliveryState.DEAD, reason=GONE)
    planned = next_try(
        schedule,
        finished=result.attempts + 1,
        ended_at=result.ended_at,
        chance=chance,
        tries=result.attempts_max,
    )
    if planned is None:
        return Verdict(DeliveryState.DEAD, reason="exhausted")
    due_at = honour_retry_after(planned, result.retry_after, dialect=dialect, status=result.status, now=result.ended_at)
    return Verdict(DeliveryState.DUE, due_at=due_at, klass=Klass.RETRY)


# What attempts mean for their lane.


@dataclass(frozen=True, slots=True)
class Lane:
    """The queue of one endpoint: its breaker and its failure clock (webhooks.md §5.5, §5.6)."""

    endpoint_id: int
    open_at: Instant
    breaker: Breaker
    breaker_step: int
    ramp_cap: int | None
    win_start: Instant
    win_total: int
    win_failed: int
    timeout_run: int
    fail_run: int
    failing_since: Instant | None
    last_ok_at: Instant | None


def after_attempt(
    lane: Lane, outcome: str, *, at: Instant, max_in_flight: int, retry_after: Instant | None = None
) -> Lane:
    """Return the lane after one attempt that ended at *at*. A loss or a dropped claim says nothing about it."""
    if outcome in (LOST, DROPPED):
        return lane
    if outcome == OK:
        return _after_success(lane, at, max_in_flight)
    failing = replace(
        lane,
        fail_run=lane.fail_run + 1,
        failing_since=at if lane.failing_since is None else lane.failing_since,
    )
    if outcome in NOT_FOR_THE_BREAKER:
        return failing
    return _after_failure(failing, outcome, at, retry_after)


def _after_success(lane: Lane, at: Instant, max_in_flight: int) -> Lane:
    well = replace(_in_window(lane, at, failed=0), timeout_run=0, fail_run=0, failing_since=None, last_ok_at=at)
    match lane.breaker:
        case Breaker.CLOSED:
            return well
        case Breaker.OPEN | Breaker.HALF_OPEN:
            return replace(well, breaker=Breaker.RAMP, ramp_cap=1, open_at=Instant(0), win_total=0, win_failed=0)
        case Breaker.RAMP:
            return _ramped(well, max_in_flight)


def _ramped(lane: Lane, max_in_flight: int) -> Lane:
    """Double the cap after as many successes in a row as it allows; close once it is whole."""
    cap = lane.ramp_cap or 1
    if lane.win_total < cap:
        return lane
    if cap * 2 >= max_in_flight:
        return replace(lane, breaker=Breaker.CLOSED, breaker_step=0, ramp_cap=None, win_total=0, win_failed=0)
    return replace(lane, ramp_cap=cap * 2, win_total=0, win_failed=0)


def _after_failure(lane: Lane, outcome: str, at: Instant, retry_after: Instant | None) -> Lane:
    timed_out = outcome.startswith("timeout_")
    bad = replace(_in_window(lane, at, failed=1), timeout_run=lane.timeout_run + 1 if timed_out else 0)
    match lane.breaker:
        case Breaker.CLOSED if _is_broken(bad):
            bad = _opened(bad, at, step=0)
        case Breaker.HALF_OPEN | Breaker.RAMP:
            bad = _opened(bad, at, step=lane.breaker_step + 1)
        case Breaker.CLOSED | Breaker.OPEN:
            pass
    if outcome != SLOW_DOWN:
        return bad
    asked = after(at, SLOW_DOWN_DEFAULT) if retry_after is None else min(retry_after, after(at, OPEN_MAX))
    return replace(bad, open_at=max(bad.open_at, asked))


def _in_window(lane: Lane, at: Instant, *, failed: int) -> Lane:
    if lane.breaker is Breaker.CLOSED and at - lane.win_start >= WINDOW:
        return replace(lane, win_start=at, win_total=1, win_failed=failed)
    return replace(lane, win_total=lane.win_total + 1, win_failed=lane.win_failed + failed)


def _is_broken(lane: Lane) -> bool:
    mostly_failing = (
        lane.win_total >= WINDOW_ATTEMPTS_MIN and 100 * lane.win_failed >= WINDOW_FAILED_PERCENT * lane.win_total
    )
    return mostly_failing or lane.timeout_run >= TIMEOUTS_IN_A_ROW or lane.fail_run >= FAILURES_IN_A_ROW


def _opened(lane: Lane, at: Instant, *, step: int) -> Lane:
    wait = min(OPEN_FIRST * 2 ** min(step, 10), OPEN_MAX)
    return replace(
        lane,
        breaker=Breaker.OPEN,
        breaker_step=step,
        ramp_cap=None,
        open_at=max(lane.open_at, after(at, wait)),
        win_total=0,
        win_failed=0,
    )


def must_disable(lane: Lane, *, at: Instant) -> bool:
    """Tell whether the failure clock has run out."""
    return (
        lane.failing_since is not None
        and at - lane.failing_since >= DISABLE_AFTER
        and lane.fail_run >= DISABLE_ATTEMPTS_MIN
    )


# Who may send next.


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lane that has due rows: the earliest of each class, and how much of it may run at once."""

    endpoint_id: int
    merchant_id: int
    max_in_flight: int
    open_at: Instant
    breaker: Breaker
    ramp_cap: int | None
    first_due: Mapping[Klass, Instant]

    @property
    def cap(self) -> int:
        """Return how many attempts may run at once, the breaker considered."""
        match self.breaker:
            case Breaker.CLOSED:
                return self.max_in_flight
            case Breaker.OPEN | Breaker.HALF_OPEN:
                return 1
            case Breaker.RAMP:
                return min(self.ramp_cap or 1, self.max_in_flight)

    @property
    def next_at(self) -> Instant:
        """Return when something of this lane may be sent."""
        return max(self.open_at, min(self.first_due.values()))


@dataclass(frozen=True, slots=True)
class Grant:
    """How many rows of a lane may be claimed: running and new together (*cap*), and new ones (*most*)."""

    endpoint_id: int
    cap: int
    most: int
    classes: tuple[tuple[Klass, int], ...]  # in the order of claiming, each with its share of the cap
    trial: bool  # the breaker lets one through


def share_out(
    lanes: Sequence[Waiting],
    *,
    now: Instant,
    free: int,
    room_of: Mapping[int, int],
    room_default: int,
    after_merchant: int,
) -> list[Grant]:
    """Share free slots among lanes: merchants in turn, then each merchant's lanes in turn, a quantum each.

    The turn starts after *after_merchant*. *room_of* is how many more attempts a merchant may have running.
    """
    ready = [lane for lane in lanes if lane.next_at <= now]
    merchants = sorted({lane.merchant_id for lane in ready}, key=lambda m: (m <= after_merchant, m))
    queues = {m: cycle([lane for lane in ready if lane.merchant_id == m]) for m in merchants}
    wanted = {m: sum(lane.cap for lane in ready if lane.merchant_id == m) for m in merchants}
    room = {m: min(room_of.get(m, room_default), wanted[m]) for m in merchants}
    granted: dict[int, int] = {}

    turns = [m for m in merchants if room[m] > 0]
    while turns and free > 0:
        for merchant in list(turns):
            lane = next(queues[merchant])
            had = granted.get(lane.endpoint_id, 0)
            more = min(QUANTUM, lane.cap - had, room[merchant], free)
            if more > 0:
                granted[lane.endpoint_id] = had + more
                room[merchant] -= more
                free -= more
            if room[merchant] <= 0:
                turns.remove(merchant)
            if free <= 0:
                break
    return [_grant(lane, granted[lane.endpoint_id], now) for lane in ready if granted.get(lane.endpoint_id)]


def _grant(lane: Waiting, most: int, now: Instant) -> Grant:
    due = [klass for klass, at in lane.first_due.items() if at <= now]
    trial = lane.breaker in (Breaker.OPEN, Breaker.HALF_OPEN)
    if trial:
        due = [min(due, key=lambda klass: lane.first_due[klass])]
    if len(due) == 1:
        shares: tuple[tuple[Klass, int], ...] = ((due[0], lane.cap),)
    else:
        shares = tuple((klass, ceil(lane.cap * percent / 100)) for klass, percent in SHARES_PERCENT if klass in due)
    return Grant(lane.endpoint_id, lane.cap, most, shares, trial)
