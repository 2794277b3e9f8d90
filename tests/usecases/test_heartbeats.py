"""Each process says that it is alive; those that are long gone are forgotten."""

import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY, HOUR, Instant, SystemClock
from opentill.webhooks.queries import workers_seen_at
from opentill.workers import store
from opentill.workers.resume import BEATS_KEPT

pytestmark = pytest.mark.anyio


async def beats(database: Database, worker: str, now: Instant) -> None:
    await database.write(lambda tx: store.beat(tx, worker=worker, now=now, forget=Instant(now - BEATS_KEPT)))


async def test_a_process_is_noted_once_and_forgotten_a_day_after_its_last_beat(database: Database) -> None:
    began = SystemClock().now()
    await beats(database, "gone", began)
    await beats(database, "here", began)
    later = Instant(began + DAY)
    await beats(database, "here", later)
    assert await known(database) == [("gone", began, began), ("here", began, later)]

    await beats(database, "here", Instant(later + HOUR))
    assert await known(database) == [("here", began, later + HOUR)]
    assert await database.read(workers_seen_at) == later + HOUR


async def known(database: Database) -> list[tuple[str, int, int]]:
    rows = await database.read(lambda tx: tx.all("select * from worker_heartbeat order by worker"))
    return [(row["worker"], row["started_at"], row["seen_at"]) for row in rows]
