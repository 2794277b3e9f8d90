"""The failure clock: when an endpoint's owner is warned, and when it is disabled (webhooks.md §5.6).

Judged at every failed attempt, from the lane's row, so that no restart resets it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from opentill.kernel.clock import DAY, HOUR, MINUTE, Instant, after
from opentill.webhooks.rules.lanes import Lane

FIRST_FAILURES: Final = 3
FIRST_AFTER: Final = 5 * MINUTE
LAST_WARNING: Final = 24 * HOUR  # before disabling


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long and how often everything must fail before an endpoint is disabled."""

    days: int = 5
    attempts_min: int = 10


PATIENCE: Final = Patience()


class Notice(IntEnum):
    """The notices of one failing spell, each given at most once. Stored as `notice_step`."""

    NONE = 0
    FAILING = 1
    FAILING_A_DAY = 2
    FAILING_THREE_DAYS = 3
    WILL_BE_DISABLED = 4


def must_disable(lane: Lane, *, at: Instant, patience: Patience = PATIENCE) -> bool:
    """Tell whether the failure clock has run out."""
    return (
        lane.failing_since is not None
        and at - lane.failing_since >= patience.days * DAY
        and lane.fail_run >= patience.attempts_min
    )


def disable_at(lane: Lane, patience: Patience = PATIENCE) -> Instant | None:
    """Return when the endpoint will be disabled if nothing changes."""
    return None if lane.failing_since is None else after(lane.failing_since, patience.days * DAY)


def notice_due(lane: Lane, *, at: Instant, patience: Patience = PATIENCE) -> Notice:
    """Return the notice a failing lane has come to. Where it passed several at once, the last says it all."""
    if lane.failing_since is None or lane.fail_run < FIRST_FAILURES:
        return Notice.NONE
    lasted = at - lane.failing_since
    if lasted >= patience.days * DAY - LAST_WARNING:
        return Notice.WILL_BE_DISABLED
    if lasted >= 3 * DAY:
        return Notice.FAILING_THREE_DAYS
    if lasted >= DAY:
        return Notice.FAILING_A_DAY
    return Notice.FAILING if lasted >= FIRST_AFTER else Notice.NONE
