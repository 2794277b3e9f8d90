"""A loop that never ends by accident."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

AFTER_FAULT_S: Final = 5.0  # a job that failed is not tried again sooner

log = structlog.get_logger("opentill.workers")


async def repeat(name: str, job: Callable[[], Awaitable[bool]], *, every_s: float, stop: asyncio.Event) -> None:
    """Run *job* every so often until told to stop; at once again where it says that more is waiting."""
    while not stop.is_set():
        try:
            more = await job()
            wait_s = 0.0 if more else every_s
        except Exception:  # a loop outlives what it meets: the next round finds the same work in the database
            log.exception("job failed", job=name)
            wait_s = max(every_s, AFTER_FAULT_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s) if wait_s else await asyncio.sleep(0)
