"""A worker stands still beyond its lease: what it held goes out without it, and it is fenced off (R6, F4)."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from opentill.db import Database
from opentill.kernel.clock import SystemClock
from opentill.webhooks.model import Options
from opentill.webhooks.queries import orphans
from tests.chaos.webhooks.loops import delivered
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio

IN_FLIGHT = 4


@dataclass(frozen=True)
class Pause:
    """How long a lease lasts, and how long the process that has it stands still."""

    lease_s: int
    paused_s: float


GATE = {"lease_s": 25, "paused_s": 30.0}


async def start(url: str, name: str, lease_s: int) -> asyncio.subprocess.Process:
    words = ["-W", "error", "-m", "tests.chaos.webhooks.worker", url, name, str(lease_s)]
    return await asyncio.create_subprocess_exec(sys.executable, *words)


@pytest.mark.checklist("F4")
@pytest.mark.bar("R6", gate=GATE, target=GATE, quick={"lease_s": 7, "paused_s": 9.0})
@pytest.mark.bar("R7", gate=GATE, target=GATE, quick={"lease_s": 7, "paused_s": 9.0})
async def test_a_worker_that_stands_still_beyond_its_lease_is_fenced_off(
    database: Database, database_url: str, bar_size: dict[str, float], bar_note: Callable[[str], None]
) -> None:
    pause = Pause(int(bar_size["lease_s"]), bar_size["paused_s"])
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        receiver.script("*", "slow:0.5")
        options = Options(max_in_flight=IN_FLIGHT, timeout_s=1, schedule=(1,) * 10)
        await bench.endpoint(receiver.url("/hook"), options=options)
        paused = await start(database_url, "paused", pause.lease_s)
        recorded = await bench.happens(*[bench.event(object_id=str(n)) for n in range(12)])
        await receiver.wait_for(IN_FLIGHT, within_s=20)
        paused.send_signal(signal.SIGSTOP)
        # SQLite has one process: nobody takes over, and the process that goes on takes back its own.
        others = [] if database_url.startswith("sqlite") else [await start(database_url, "other", pause.lease_s)]
        await asyncio.sleep(pause.paused_s)
        paused.send_signal(signal.SIGCONT)
        await delivered(bench, len(recorded), within_s=30)
        await asyncio.sleep(1.0)
        for process in (paused, *others):
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0

        ids = Counter(str(request.header("webhook-id")) for request in receiver.requests)
    assert set(ids) == set(recorded)
    assert ids.total() - len(ids) <= IN_FLIGHT
    (row,) = await bench.rows("select count(*) as n from webhook_attempt where fenced = 1")
    lost = await bench.rows("select 1 from webhook_attempt where outcome = 'lost'")
    assert row["n"] <= len(lost)
    now = SystemClock().now()
    assert (await database.read(lambda tx: orphans(tx, now=now))).total == 0
    bar_note(f"{ids.total() - len(ids)} twice of {IN_FLIGHT} in flight; {len(lost)} taken back, {row['n']} fenced off")
