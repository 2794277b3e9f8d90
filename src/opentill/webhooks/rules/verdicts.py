"""What an attempt means for its delivery (webhooks.md §5.6, §8.4)."""

from random import Random
from typing import Final, NamedTuple

from opentill.kernel.clock import Instant
from opentill.webhooks.model import DeliveryState, Dialect, Klass, Result
from opentill.webhooks.rules.outcomes import GONE
from opentill.webhooks.schedules import Schedule, honour_retry_after, next_try

LOSSES_FREE: Final = 2  # the third loss in a row uses up a step of the schedule


class Verdict(NamedTuple):
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
        finished=result.finished,
        ended_at=result.ended_at,
        chance=chance,
        tries=None if result.attempts_max is None else result.attempts_max - result.schedule_from,
    )
    if planned is None:
        return Verdict(DeliveryState.DEAD, reason="exhausted")
    due_at = honour_retry_after(planned, result.retry_after, dialect=dialect, status=result.status, now=result.ended_at)
    return Verdict(DeliveryState.DUE, due_at=due_at, klass=Klass.RETRY)
