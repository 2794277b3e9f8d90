"""The clock is set by hours or days: nothing storms, nothing stalls, and it is repaired once (webhooks.md §5.9)."""

import pytest

from opentill.kernel.clock import DAY, HOUR, SECOND
from opentill.webhooks import clock_steps, queue
from opentill.webhooks.clock_steps import ClockWatch
from opentill.webhooks.model import Options
from tests.usecases.webhooks.engine import Bench, says

pytestmark = pytest.mark.anyio


class Monotonic:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Host:
    """One process with a watch of its own."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.monotonic = bench, Monotonic()
        self.watch = ClockWatch(self.monotonic)

    async def look(self) -> int:
        """Look and repair, as the dispatcher does."""
        bench = self.bench
        step = await bench.db.read(lambda tx: self.watch.look(tx, bench.clock.now()))
        if not step:
            return 0
        return await bench.db.write(lambda tx: clock_steps.repair(tx, step, self.watch, bench.clock.now()))


def passes(bench: Bench, hosts: list[Host], seconds: float) -> None:
    bench.clock.advance(round(seconds * SECOND))
    for host in hosts:
        host.monotonic.s += seconds


async def retrying(bench: Bench) -> None:
    """Leave one delivery that waits for its second try, and one that is being sent."""
    endpoint, _ = await bench.endpoint(options=Options(schedule=(600, 600)))
    bench.receiver.answers[endpoint.url] = lambda _: says(500)
    await bench.happens(bench.event(object_id="a"))
    await bench.plan()
    await bench.deliver()
    await bench.happens(bench.event(object_id="b"))
    await bench.plan()
    assert len(await bench.claim()) == 1


@pytest.mark.parametrize("step", [HOUR, -HOUR, DAY, -DAY, 6 * SECOND])
async def test_what_waits_keeps_waiting_as_long_as_it_would_have(bench: Bench, step: int) -> None:
    host = Host(bench)
    await retrying(bench)
    assert await host.look() == 0
    before = {row["id"]: row for row in await bench.deliveries()}

    passes(bench, [host], 1)
    bench.clock.advance(step)
    assert host.watch.has_stepped(bench.clock.now())
    assert await host.look() == pytest.approx(step, abs=1000)

    assert not host.watch.has_stepped(bench.clock.now())
    for row in await bench.deliveries():
        old = before[row["id"]]
        if old["state"] == 0:
            assert row["due_at"] - old["due_at"] == pytest.approx(step, abs=1000)
        else:
            assert row["lease_until"] - old["lease_until"] == pytest.approx(step, abs=1000)
    engine = bench.engine
    assert (
        await bench.db.write(lambda tx: queue.reclaim(tx, now=bench.clock.now(), ids=engine.ids, chance=engine.chance))
        == 0
    )
    assert await bench.claim() == []
    passes(bench, [host], 13 * 60)
    assert await host.look() == 0
    assert len(await bench.claim()) == 1


async def test_a_step_is_repaired_once_however_many_processes_see_it(bench: Bench) -> None:
    hosts = [Host(bench) for _ in range(3)]
    await retrying(bench)
    for host in hosts:
        await host.look()
    passes(bench, hosts, 1)
    bench.clock.advance(HOUR)
    repaired = [await host.look() for host in hosts]
    passes(bench, hosts, 1)

    assert sum(map(bool, repaired)) == 1
    assert [await host.look() for host in hosts] == [0, 0, 0]
    (row,) = await bench.rows("select shifted_us from webhook_clock")
    assert row["shifted_us"] == pytest.approx(HOUR, abs=1000)


async def test_first_tries_wait_for_no_clock(bench: Bench) -> None:
    host = Host(bench)
    await bench.endpoint()
    await host.look()
    bench.clock.advance(-DAY)
    await bench.happens(bench.event())
    await bench.plan()
    assert len(await bench.claim()) == 1
    assert await host.look() == -DAY


async def test_small_drift_and_pauses_of_the_process_are_no_steps(bench: Bench) -> None:
    host = Host(bench)
    await host.look()
    for _ in range(10):
        passes(bench, [host], 30)
        bench.clock.advance(4 * SECOND)
        assert await host.look() == 0
    passes(bench, [host], 3600)
    assert await host.look() == 0
