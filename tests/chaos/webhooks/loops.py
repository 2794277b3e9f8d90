"""The planner, the dispatcher and the replayer of one process at work, with real sockets, for tests of faults."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from opentill.db import Database
from opentill.kernel.clock import Clock, SystemClock
from opentill.kernel.ids import SystemIds
from opentill.outbound import AllowList, Outbound
from opentill.outbound.names import Lookup, system_lookup
from opentill.webhooks.engine import Engine
from opentill.workers.deliver import deliver_loop
from opentill.workers.plan import plan_loop
from opentill.workers.replay import replay_loop
from tests.usecases.webhooks.engine import Bench

ALLOWED = ("127.0.0.1", "localhost", "healthy.test", "slow.test")


@asynccontextmanager
async def working(
    bench: Bench,
    database: Database,
    *,
    worker: str = "worker-1",
    clock: Clock | None = None,
    lookup: Lookup = system_lookup,
    **limits: Any,
) -> AsyncIterator[Engine]:
    """Run the loops of one process until the block ends."""
    clock = clock or SystemClock()
    async with Outbound(allow=AllowList.parse(ALLOWED), lookup=lookup) as outbound:
        engine = Engine(
            db=database,
            sender=outbound,
            keyring=bench.engine.keyring,
            ids=SystemIds(clock),
            clock=clock,
            worker=worker,
            **limits,
        )
        stop = asyncio.Event()
        loops = (plan_loop, deliver_loop, replay_loop)
        tasks = [asyncio.create_task(loop(engine, stop)) for loop in loops]
        try:
            yield engine
        finally:
            stop.set()
            await asyncio.gather(*tasks)


async def eventually(true: Callable[[], Awaitable[bool]], *, within_s: float) -> float:
    """Wait until something is true; return how many seconds that took."""
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < within_s, f"not after {within_s} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def delivered(bench: Bench, count: int, *, within_s: float) -> float:
    """Wait until so many deliveries are delivered; return how many seconds that took."""

    async def are() -> bool:
        (row,) = await bench.rows("select count(*) as n from webhook_delivery where state = 2")
        return int(row["n"]) >= count

    return await eventually(are, within_s=within_s)
