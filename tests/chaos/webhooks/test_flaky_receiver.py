"""A receiver that fails, hangs and hangs up: it is told of everything all the same, always in the same bytes (C9).

Of what fails nearly every second time, ten in a row fail now and then: breakers open, as they should, and open again
while they ramp up, for up to a quarter of an hour. How long is tested elsewhere (F10); here open lanes are tried again
at the next look, so that the run is about what arrives and not about waiting.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from opentill.db import Database
from opentill.events import record
from opentill.kernel.clock import SystemClock
from opentill.kernel.owner import Owner
from opentill.webhooks.model import Options
from opentill.webhooks.queries import orphans
from tests.chaos.webhooks.loops import delivered, working
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio

ODDS = "mixed:status:500=0.3 hang=0.1 reset=0.05"
FACTS_A_TRANSACTION = 100
SCHEDULE = (1,) * 20
SHOPS = 10
IN_FLIGHT = 4
LOOK_S = 0.1


@pytest.mark.checklist("M48")
@pytest.mark.bar("C9", gate=5_000, target=100_000, quick=40)
async def test_committed_facts_event_rows_and_distinct_ids_received_are_the_same(
    database: Database, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    bench = await Bench(database).start()
    async with Receiver(seed=bar_seed) as receiver:
        receiver.script("*", ODDS)
        owners = [(await bench.new_merchant(f"Loja {n}")).owner for n in range(SHOPS)]
        options = Options(max_in_flight=IN_FLIGHT, timeout_s=1, schedule=SCHEDULE)
        for n, owner in enumerate(owners):
            await bench.endpoint(receiver.url(f"/{n}"), options=options, owner=owner)
        async with working(bench, database), tried_at_once(bench):
            committed = [event_id for owner in owners for event_id in await facts(bench, bar_size // SHOPS, owner)]
            await delivered(bench, bar_size, within_s=200 + bar_size / 5)

        stored = {row["id"] for row in await bench.rows("select id from event where audience = 0")}
        received = Counter(str(request.header("webhook-id")) for request in receiver.requests)
        assert set(committed) == stored == set(received)
        bodies = defaultdict(set)
        for request in receiver.requests:
            bodies[request.header("webhook-id")].add(request.body)
        assert {len(seen) for seen in bodies.values()} == {1}
    now = SystemClock().now()
    assert (await database.read(lambda tx: orphans(tx, now=now))).total == 0
    bar_note(f"{len(stored)} events, {received.total()} requests")


@asynccontextmanager
async def tried_at_once(bench: Bench) -> AsyncIterator[None]:
    """Let no breaker stay open for long until the block ends."""

    async def hurry() -> None:
        while True:
            await bench.db.write(lambda tx: tx.run("update webhook_lane set open_at = 0 where breaker = 1"))
            await asyncio.sleep(LOOK_S)

    hurrying = asyncio.create_task(hurry())
    try:
        yield
    finally:
        hurrying.cancel()


async def facts(bench: Bench, count: int, owner: Owner | None = None) -> list[str]:
    """Commit facts, many in a transaction, and return the ids of their events."""
    made: list[str] = []
    for start in range(0, count, FACTS_A_TRANSACTION):
        numbers = range(start, min(count, start + FACTS_A_TRANSACTION))
        events = [bench.event(object_id=f"p-{n}", owner=owner) for n in numbers]
        made += await bench.db.write(lambda tx, events=events: [record(tx, e, ids=bench.engine.ids) for e in events])
    return made
