"""What goes on by itself: open sessions are asked about, hints confirmed, charges looked at, time runs out; long lists
are counted.

Each job takes what is due in the database, a bounded number at a time, and running it twice equals running it once.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Hashable
from functools import partial, wraps
from typing import Final, TypeVar

import structlog

from opentill.gateways.rounds import Lanes
from opentill.kernel.clock import DAY, Instant
from opentill.payments import anchors, flow, tallies
from opentill.payments.infractions import flow as infractions
from opentill.payments.pix import flow as pix_flow
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.tools import Tools
from opentill.pix.payouts import flow as payouts
from opentill.web import idempotency
from opentill.web.dependencies import Dependencies
from opentill.webhooks import event_blocks
from opentill.workers import store
from opentill.workers.repeat import repeat

HINTS_S: Final = 0.5
SESSIONS_S: Final = 1.0
REFUNDS_S: Final = 1.0
CHARGES_S: Final = 1.0
EXPIRY_S: Final = 1.0
PAYOUTS_S: Final = 0.5
INFRACTIONS_S: Final = 5.0
BLOCKS_S: Final = 2.0
SWEEP_S: Final = 15.0  # looks whose turn it is; each account is swept every three minutes
HEARTBEAT_S: Final = 15.0
PATIENCE_S: Final = 0.25  # with banks, before a loop goes on without those that have not answered
ANCHOR_S: Final = 60.0
PURGE_S: Final = 3_600.0
PURGE_ROWS_MAX: Final = 500  # in one transaction
CALLBACKS_KEPT: Final = 90 * DAY
BEATS_KEPT: Final = DAY  # of processes that are gone

K = TypeVar("K", bound=Hashable)

log = structlog.get_logger("opentill.workers")


async def resume_loops(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Run every job until told to stop."""
    tools = dependencies.tools
    async with asyncio.TaskGroup() as group:
        for name, job, every_s in (
            ("confirm hints", _rounds(_in_lanes(pix_flow.confirm_due_hints), tools), HINTS_S),
            ("check sessions", _rounds(_in_lanes(flow.check_due_sessions), tools), SESSIONS_S),
            ("check refunds", _rounds(_in_lanes(refund_flow.check_due_refunds), tools), REFUNDS_S),
            ("look at charges", _rounds(_in_lanes(pix_flow.look_at_due), tools), CHARGES_S),
            ("pay out", _rounds(_in_lanes(payouts.work_due), tools), PAYOUTS_S),
            ("list infractions", _rounds(_in_lanes(infractions.list_due), tools), INFRACTIONS_S),
            ("look after infractions", _rounds(_in_lanes(infractions.work_due), tools), INFRACTIONS_S),
            ("fill blocks", _rounds(infractions.top_up_due, tools), BLOCKS_S),
            ("expire", _rounds(_in_lanes(flow.expire_due), tools, whole=True), EXPIRY_S),
            ("sweep", _rounds(_in_lanes(pix_flow.sweep), tools, whole=True), SWEEP_S),
            ("anchor payments", _of_owners(anchors.extend, dependencies), ANCHOR_S),
            ("count payments", _a_few(tallies.write_down, tallies.BLOCKS_MAX, dependencies), ANCHOR_S),
            ("set blocks of events", _of_owners(event_blocks.extend, dependencies), ANCHOR_S),
            ("count events", _a_few(event_blocks.write_down, event_blocks.BLOCKS_MAX, dependencies), ANCHOR_S),
            ("purge", lambda: _purge(dependencies), PURGE_S),
            ("heartbeat", lambda: _beat(dependencies), HEARTBEAT_S),
        ):
            group.create_task(repeat(name, job, every_s=every_s, stop=stop), name=name)


def _in_lanes(job: Callable[[Tools, Lanes[K]], Awaitable[int]]) -> Callable[[Tools], Awaitable[int]]:
    """Return a job that waits for banks only so long: who hangs is left behind, and asked no more until it answers."""
    lanes = Lanes[K](patience_s=PATIENCE_S)

    @wraps(job)
    async def run(tools: Tools) -> int:
        return await job(tools, lanes)

    return run


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


def _of_owners(
    extend: Callable[..., tuple[int, int | None]], dependencies: Dependencies
) -> Callable[[], Awaitable[bool]]:
    """Return a job that marks the next place in a list of each owner who is due one."""

    async def run() -> bool:
        now, made, after = dependencies.clock.now(), 0, 0
        while True:
            more, last = await dependencies.db.write(partial(extend, now=now, after=after))
            made += more
            if last is None:
                return made > 0
            after = last

    return run


def _a_few(count: Callable[..., int], most: int, dependencies: Dependencies) -> Callable[[], Awaitable[bool]]:
    """Return a job that writes down what old blocks of a list hold, a few at a time."""

    async def run() -> bool:
        return await dependencies.db.write(partial(count, now=dependencies.clock.now())) == most

    return run


async def _purge(dependencies: Dependencies) -> bool:
    """Remove idempotency keys that count as absent already, and callbacks and hints nobody needs any more."""
    db, now = dependencies.db, dependencies.clock.now()
    before = Instant(now - CALLBACKS_KEPT)
    key_now = dependencies.key_clock(now)
    keys = await db.write(lambda tx: idempotency.purge(tx, now=key_now, rows_max=PURGE_ROWS_MAX))
    callbacks = await db.write(lambda tx: store.purge_callbacks(tx, before=before, rows_max=PURGE_ROWS_MAX))
    hints = await db.write(lambda tx: store.purge_hints(tx, before=before, rows_max=PURGE_ROWS_MAX))
    return max(keys, callbacks, hints) >= PURGE_ROWS_MAX


async def _beat(dependencies: Dependencies) -> bool:
    """Say that this process's workers are alive."""
    now, worker = dependencies.clock.now(), f"{socket.gethostname()}:{os.getpid()}"
    await dependencies.db.write(lambda tx: store.beat(tx, worker=worker, now=now, forget=Instant(now - BEATS_KEPT)))
    return False
