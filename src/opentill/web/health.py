"""`/health` and `/health/ready`: for load balancers and watchdogs, without a key (pix-api.md §1, webhooks.md §14)."""

from typing import Any, Final

from opentill.db import DatabaseError, ReadTx
from opentill.kernel.clock import MINUTE, SECOND, Instant
from opentill.web.dependencies import Dependencies
from opentill.web.json_body import write
from opentill.webhooks import watch
from opentill.webhooks.queries import oldest_due_us, workers_seen_at
from opentill.webhooks.queries.standing import planner_silent_us

WORKER_SILENT: Final = 2 * MINUTE
PLANNER_SILENT: Final = 30 * SECOND
DELIVERY_LATE: Final = 5 * MINUTE


def alive() -> tuple[int, bytes]:
    """Say that this process answers."""
    return 200, write({"status": "ok"})


async def ready(dependencies: Dependencies) -> tuple[int, bytes]:
    """Say whether this installation works on time; 503 and the reasons where it does not."""
    now = dependencies.clock.now()
    try:
        problems = await dependencies.db.read(lambda tx: find_problems(tx, now))
    except DatabaseError:
        problems = ["the database cannot be reached"]
    body: dict[str, Any] = {"status": "degraded" if problems else "ok", "problems": problems}
    return (503 if problems else 200), write(body)


def find_problems(tx: ReadTx, now: Instant) -> list[str]:
    """Return what is late, as sentences."""
    problems = []
    seen_at = workers_seen_at(tx)
    if seen_at is None or now - seen_at > WORKER_SILENT:
        problems.append("no worker has been heard of for two minutes")
    if oldest_due_us(tx, now=now) > DELIVERY_LATE:
        problems.append("a webhook delivery is overdue by more than five minutes")
    if planner_silent_us(tx, now=now) > PLANNER_SILENT:
        problems.append("recorded events have not been planned for more than 30 seconds")
    seen = watch.last(tx)
    if seen is not None and seen.orphans.total:
        problems.append("there is webhook work that nobody looks after")
    return problems
