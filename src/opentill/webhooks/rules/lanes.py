"""What attempts mean for their lane: the breaker and the run of failures (webhooks.md §5.5)."""

from typing import Any, Final, NamedTuple

from opentill.kernel.clock import MINUTE, SECOND, Instant, after
from opentill.webhooks.model import Breaker
from opentill.webhooks.rules.outcomes import DROPPED, LOST, NOT_FOR_THE_BREAKER, OK, SLOW_DOWN

WINDOW: Final = 60 * SECOND
WINDOW_ATTEMPTS_MIN: Final = 10
WINDOW_FAILED_PERCENT: Final = 70
TIMEOUTS_IN_A_ROW: Final = 5
FAILURES_IN_A_ROW: Final = 10
OPEN_FIRST: Final = 30 * SECOND
OPEN_MAX: Final = 15 * MINUTE
SLOW_DOWN_DEFAULT: Final = 10 * SECOND


class Lane(NamedTuple):
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
    notice_step: int = 0  # the last notice of this failing spell


def after_attempt(
    lane: Lane, outcome: str, *, at: Instant, max_in_flight: int, retry_after: Instant | None = None
) -> Lane:
    """Return the lane after one attempt that ended at *at*. A loss or a dropped claim says nothing about it."""
    if outcome in (LOST, DROPPED):
        return lane
    if outcome == OK:
        return _after_success(lane, at, max_in_flight)
    failing = lane._replace(
        fail_run=lane.fail_run + 1,
        failing_since=at if lane.failing_since is None else lane.failing_since,
    )
    if outcome in NOT_FOR_THE_BREAKER:
        return failing
    return _after_failure(failing, outcome, at, retry_after)


def _after_success(lane: Lane, at: Instant, max_in_flight: int) -> Lane:
    well = _in_window(lane, at, failed=0, timeout_run=0, fail_run=0, failing_since=None, last_ok_at=at)
    match lane.breaker:
        case Breaker.CLOSED:
            return well
        case Breaker.OPEN | Breaker.HALF_OPEN:
            return well._replace(breaker=Breaker.RAMP, ramp_cap=1, open_at=Instant(0), win_total=0, win_failed=0)
        case Breaker.RAMP:
            return _ramped(well, max_in_flight)


def _ramped(lane: Lane, max_in_flight: int) -> Lane:
    """Double the cap after as many successes in a row as it allows; close once it is whole."""
    cap = lane.ramp_cap or 1
    if lane.win_total < cap:
        return lane
    if cap * 2 >= max_in_flight:
        return lane._replace(breaker=Breaker.CLOSED, breaker_step=0, ramp_cap=None, win_total=0, win_failed=0)
    return lane._replace(ramp_cap=cap * 2, win_total=0, win_failed=0)


def _after_failure(lane: Lane, outcome: str, at: Instant, retry_after: Instant | None) -> Lane:
    timed_out = outcome.startswith("timeout_")
    bad = _in_window(lane, at, failed=1, timeout_run=lane.timeout_run + 1 if timed_out else 0)
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
    return bad._replace(open_at=max(bad.open_at, asked))


def _in_window(lane: Lane, at: Instant, *, failed: int, **changes: Any) -> Lane:
    """Return the lane with one attempt more, and other *changes*."""
    if lane.breaker is Breaker.CLOSED and at - lane.win_start >= WINDOW:
        return lane._replace(win_start=at, win_total=1, win_failed=failed, **changes)
    return lane._replace(win_total=lane.win_total + 1, win_failed=lane.win_failed + failed, **changes)


def _is_broken(lane: Lane) -> bool:
    mostly_failing = (
        lane.win_total >= WINDOW_ATTEMPTS_MIN and 100 * lane.win_failed >= WINDOW_FAILED_PERCENT * lane.win_total
    )
    return mostly_failing or lane.timeout_run >= TIMEOUTS_IN_A_ROW or lane.fail_run >= FAILURES_IN_A_ROW


def _opened(lane: Lane, at: Instant, *, step: int) -> Lane:
    wait = min(OPEN_FIRST * 2 ** min(step, 10), OPEN_MAX)
    return lane._replace(
        breaker=Breaker.OPEN,
        breaker_step=step,
        ramp_cap=None,
        open_at=max(lane.open_at, after(at, wait)),
        win_total=0,
        win_failed=0,
    )
