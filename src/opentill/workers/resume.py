"""What goes on by itself: open sessions are asked about, hints confirmed, charges looked at, time runs out.

Each job takes what is due in the database, a bounded number at a time, and running it twice equals running it once.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from opentill.kernel.clock import DAY, Instant
from opentill.payments import flow, pix_flow
from opentill.payments.tools import Tools
from opentill.web import idempotency
from opentill.web.dependencies import Dependencies
from opentill.workers import store
from opentill.workers.repeat import repeat

HINTS_S: Final = 0.5
SESSIONS_S: Final = 1.0
CHARGES_S: Final = 1.0
EXPIRY_S: Final = 1.0
SWEEP_S: Final = 15.0  # looks whose turn it is; each account is swept every three minutes
HEARTBEAT_S: Final = 15.0
PURGE_S: Final = 3_600.0
PURGE_ROWS_MAX: Final = 500  # in one transaction
CALLBACKS_KEPT: Final = 90 * DAY
BEATS_KEPT: Final = DAY  # of processes that are gone

log = structlog.get_logger("opentill.workers")


async def resume_loops(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Run every job until told to stop."""
    tools = dependencies.tools
    async with asyncio.TaskGroup() as group:
        for name, job, every_s in (
            ("confirm hints", _rounds(pix_flow.confirm_due_hints, tools), HINTS_S),
            ("check sessions", _rounds(flow.check_due_sessions, tools), SESSIONS_S),
            ("look at charges", _rounds(pix_flow.look_at_due, tools), CHARGES_S),
            ("expire", _rounds(flow.expire_due, tools), EXPIRY_S),
            ("sweep", _rounds(pix_flow.sweep, tools, whole=True), SWEEP_S),
            ("purge", lambda: _purge(dependencies), PURGE_S),
            ("heartbeat", lambda: _beat(dependencies), HEARTBEAT_S),
        ):
            group.create_task(repeat(name, job, every_s=every_s, stop=stop), name=name)


def _rounds(
    job: Callable[[Tools], Awaitable[int]], tools: Tools, *, whole: bool = False
) -> Callable[[], Awaitable[bool]]:
    """Return a job that asks to run again at once while its batches are full; a *whole* round leaves nothing behind.

    What single items met is logged. They were put off, and the others keep their pace.
    """

    async def run() -> bool:
        try:
            return await job(tools) >= flow.BATCH and not whole
        except ExceptionGroup:
            log.exception("items put off", job=job.__name__)
            return False

    return run


async def _purge(dependencies: Dependencies) -> bool:
    """Remove idempotency keys that count as absent already, and raw callbacks nobody needs any more."""
    db, now = dependencies.db, dependencies.clock.now()
    before = Instant(now - CALLBACKS_KEPT)
    keys = await db.write(lambda tx: idempotency.purge(tx, now=now, rows_max=PURGE_ROWS_MAX))
    callbacks = await db.write(lambda tx: store.purge_callbacks(tx, before=before, rows_max=PURGE_ROWS_MAX))
    return max(keys, callbacks) >= PURGE_ROWS_MAX


async def _beat(dependencies: Dependencies) -> bool:
    """Say that this process's workers are alive."""
    now, worker = dependencies.clock.now(), f"{socket.gethostname()}:{os.getpid()}"
    await dependencies.db.write(lambda tx: store.beat(tx, worker=worker, now=now, forget=Instant(now - BEATS_KEPT)))
    return False
