"""The loop of jobs over many deliveries: replays, recoveries, activations (webhooks.md §5.7, §5.8)."""

import asyncio
from typing import Final

from opentill.webhooks import metrics, queries, replaying
from opentill.webhooks.engine import Engine
from opentill.workers.repeat import repeat

LOOK_S: Final = 0.25


async def replay_loop(engine: Engine, stop: asyncio.Event) -> None:
    """Take steps of jobs until *stop* is set. Any number of processes may run this."""

    async def look() -> bool:
        return await step(engine)

    await repeat("replay", look, every_s=LOOK_S, stop=stop)


async def step(engine: Engine) -> bool:
    """Take one step, and wake the dispatcher for what it queued; tell whether another may be due."""
    db = engine.db
    if not await db.read(lambda tx: queries.has_due_replay(tx, now=engine.now(tx))):
        return False
    stepped = await db.write(lambda tx: replaying.step(tx, now=engine.now(tx), ids=engine.ids))
    if stepped is not None and stepped.queued:
        metrics.replayed.inc(stepped.queued)
        engine.to_send.ring([stepped.endpoint_id])
    return stepped is not None
