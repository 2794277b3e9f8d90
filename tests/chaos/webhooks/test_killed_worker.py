"""A worker is killed again and again while it plans and sends: nothing is lost, and little comes twice."""

import asyncio
import signal
import sys
from collections import Counter, defaultdict
from random import Random

import pytest

from opentill.db import Database
from opentill.kernel.clock import SystemClock
from opentill.webhooks.model import DeliveryState, Options
from opentill.webhooks.queries import orphans
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio

KILLS = 5
EVENTS_PER_ROUND = 30
IN_FLIGHT = 8


async def start(url: str, name: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "tests.chaos.webhooks.worker", url, name
    )


@pytest.mark.checklist("F1", "M48")
async def test_a_worker_killed_at_any_moment_loses_nothing(database: Database, database_url: str) -> None:
    chance = Random(7)
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        receiver.script("*", "slow:0.02")
        # From the third loss in a row on a delivery waits as after a failure: here one second.
        options = Options(max_in_flight=IN_FLIGHT, schedule=(1,) * 10)
        await bench.endpoint(receiver.url("/hook"), options=options)
        recorded: list[str] = []
        for kill in range(KILLS):
            recorded += await bench.happens(*[bench.event(object_id=f"{kill}-{n}") for n in range(EVENTS_PER_ROUND)])
            worker = await start(database_url, f"worker-{kill}")
            before = len(receiver.requests)
            await receiver.wait_for(before + chance.randrange(1, EVENTS_PER_ROUND), within_s=20)
            await asyncio.sleep(chance.uniform(0, 0.02))
            worker.send_signal(signal.SIGKILL)
            await worker.wait()

        last = await start(database_url, "worker-last")
        try:
            await everything_settled(bench, len(recorded))
        finally:
            last.terminate()
        assert await asyncio.wait_for(last.wait(), 10) == 0

    ids = Counter(str(request.header("webhook-id")) for request in receiver.requests)
    assert set(ids) == set(recorded)
    assert sum(ids.values()) - len(ids) <= KILLS * IN_FLIGHT
    bodies = defaultdict(set)
    for request in receiver.requests:
        bodies[request.header("webhook-id")].add(request.body)
    assert {len(seen) for seen in bodies.values()} == {1}, "an event has the same bytes every time"
    now = SystemClock().now()
    assert (await database.read(lambda tx: orphans(tx, now=now))).total == 0


async def everything_settled(bench: Bench, count: int) -> None:
    states: list[int] = []
    for _ in range(600):
        states = [row["state"] for row in await bench.deliveries()]
        if states.count(DeliveryState.DELIVERED) == count == len(states):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"after 30 s of {count} deliveries: {Counter(states)}")
