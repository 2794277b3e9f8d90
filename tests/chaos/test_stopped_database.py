"""PostgreSQL is stopped at once and started again under load: nothing is lost, and nobody is restarted."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest
from bench.cluster import Cluster, NoPostgres

from tests.bars import size_name
from tests.chaos.clients import Client
from tests.chaos.load import Load
from tests.chaos.receiving import receiving
from tests.chaos.servers import Install, start
from tests.chaos.test_random_kills import (
    CONNECTIONS,
    SHORT_LEASES,
    Killing,
    assert_everybody_was_told,
    assert_nothing_is_left,
    assert_stored_is_acknowledged,
    count,
    drained,
    register,
)

RATE: Final = 100.0  # payments a second
BETWEEN_STOPS_S: Final = (2.0, 4.0)
AWAY_S: Final = (0.3, 1.5)
SERVING_S_MAX: Final = 5.0
IN_FLIGHT: Final = "select count(*) as n from webhook_delivery where state = 1"


class StoppableCluster(Cluster):
    """A cluster that a test stops as a crash would, and starts again."""

    def crash(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)  # an immediate shutdown: no checkpoint, no goodbye
        self.process.wait(30)

    def start_again(self) -> None:
        assert self.process is not None
        with (self.work / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(self.process.args, stdout=log, stderr=log, cwd=self.folder)
        self.wait_for(self.url)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StoppableCluster]:
    made = StoppableCluster(tmp_path)
    made.given = ""  # never a server that somebody else uses
    try:
        with made as running:
            yield running
    except NoPostgres as missing:
        pytest.skip(str(missing))


@pytest.mark.checklist("F2")
@pytest.mark.bar("R3", gate=5, target=20, quick=1)
@pytest.mark.bar("R7", gate=5, target=20, quick=1)
@pytest.mark.parametrize("mode", ["postgres"])
async def test_a_database_that_goes_away_under_load_costs_nothing_but_time(
    mode: str,
    cluster: StoppableCluster,
    tmp_path: Path,
    bar_size: int,
    bar_seed: int,
    bar_note: Callable[[str], None],
) -> None:
    till = Install(tmp_path / "till", cluster.create("till"))
    till.data.mkdir()
    if size_name() == "quick":
        till.chosen |= SHORT_LEASES
    till.run("migrate")
    shop, chance = till.add_shop(), Random(bar_seed)
    web, worker = till.web(), till.worker()
    stops, back_s = Killing(), []
    try:
        with receiving(tmp_path) as receiver:
            async with till.open_database() as database, Client(shop, [web], connections_max=CONNECTIONS) as client:
                await start(web, worker)
                await register(till, database, client, receiver)
                load, stop = Load(client, RATE, chance), asyncio.Event()
                offering = asyncio.create_task(load.run(stop))
                pids = web.pid, worker.pid
                for _ in range(bar_size):
                    await asyncio.sleep(chance.uniform(*BETWEEN_STOPS_S))
                    stops.in_flight += await count(database, IN_FLIGHT) + CONNECTIONS
                    await asyncio.to_thread(cluster.crash)
                    await asyncio.sleep(chance.uniform(*AWAY_S))
                    await asyncio.to_thread(cluster.start_again)
                    back_s.append(await serving_again(load))
                stop.set()
                await offering
                await drained(till, database)

                assert load.refused == []
                await assert_stored_is_acknowledged(till, database, load)
                told = await assert_everybody_was_told(database, receiver.lines(), stops)
                await assert_nothing_is_left(database)
                assert (web.pid, worker.pid) == pids
                assert web.alive
                assert worker.alive
                assert max(back_s) < SERVING_S_MAX
        till.stop()
        assert till.verify()["faults"] == []
    finally:
        till.stop()
    bar_note(f"{len(load.acknowledged)} acknowledged; serving again after {max(back_s):.1f} s at most; {told}")


async def serving_again(load: Load) -> float:
    """Return how long it took until an order was acknowledged again."""
    before, began = len(load.acknowledged), time.monotonic()
    while len(load.acknowledged) <= before:
        assert time.monotonic() - began < 60, "nothing was acknowledged for a minute"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
