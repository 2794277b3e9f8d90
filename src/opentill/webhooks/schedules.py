"""When the next attempt is made (webhooks.md §5.6). Pure but for the source of chance passed in."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from opentill.kernel.clock import HOUR, SECOND, Instant, after
from opentill.webhooks.model import Dialect

RETRY_AFTER_MAX: Final = 24 * HOUR
PIX_RETRY_AFTER_EXTRA_MAX: Final = 2 * HOUR
PIX_RETRY_AFTER_STATUSES: Final = (429, 503)
SCHEDULE_STEPS_MAX: Final = 20
SCHEDULE_WAIT_MAX_S: Final = 86_400
SCHEDULE_SUM_MAX_S: Final = 604_800


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits in seconds after the end of the previous attempt, and how far chance may move each."""

    waits_s: tuple[int, ...]
    jitter_below: float
    jitter_above: float

    @property
    def tries(self) -> int:
        return 1 + len(self.waits_s)


SCHEDULES: Final[Mapping[Dialect, Schedule]] = {
    Dialect.MERCHANT: Schedule((60, 300, 900, 3_600, 21_600, 43_200, 86_400), 0.10, 0.10),
    Dialect.PIX: Schedule((60, 300, 1_800, 7_200), 0.0, 0.10),
    Dialect.STANDARD: Schedule(
        (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400), 0.20, 0.20
    ),
}  # fmt: skip


def schedule_of(dialect: Dialect, override: tuple[int, ...] | None) -> Schedule:
    """Return the schedule that holds: the owner's waits with the dialect's jitter, or the dialect's own."""
    usual = SCHEDULES[dialect]
    if override is None:
        return usual
    return Schedule(override, usual.jitter_below, usual.jitter_above)


def is_valid_override(waits_s: tuple[int, ...]) -> bool:
    """Tell whether an owner may choose these waits."""
    return (
        len(waits_s) <= SCHEDULE_STEPS_MAX
        and all(1 <= wait <= SCHEDULE_WAIT_MAX_S for wait in waits_s)
        and sum(waits_s) <= SCHEDULE_SUM_MAX_S
    )


def next_try(
    schedule: Schedule, *, finished: int, ended_at: Instant, chance: Random, tries: int | None = None
) -> Instant | None:
    """Return when to try again after *finished* attempts, or None if that was the last.

    *ended_at* is the end of the last attempt. *tries* overrides how many there are in all; past the end of
    the schedule the last wait repeats.
    """
    if finished >= (schedule.tries if tries is None else tries):
        return None
    if not schedule.waits_s:
        return ended_at
    wait_s = schedule.waits_s[min(finished, len(schedule.waits_s)) - 1]
    factor = chance.uniform(1 - schedule.jitter_below, 1 + schedule.jitter_above)
    return after(ended_at, round(wait_s * SECOND * factor))


def honour_retry_after(
    planned: Instant, asked: Instant | None, *, dialect: Dialect, status: int | None, now: Instant
) -> Instant:
    """Return the later of the planned try and what the receiver asked for, within the dialect's limit."""
    if asked is None or asked <= planned:
        return planned
    if dialect is not Dialect.PIX:
        return max(planned, min(asked, after(now, RETRY_AFTER_MAX)))
    if status not in PIX_RETRY_AFTER_STATUSES:
        return planned
    return min(asked, after(planned, PIX_RETRY_AFTER_EXTRA_MAX))
