"""Once a minute: is there webhook work that nobody looks after, or a feed that nobody reads? (webhooks.md §11, §14)"""

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Final

import structlog

from opentill.web.dependencies import Dependencies
from opentill.webhooks import unread, watch
from opentill.workers.repeat import repeat

LOOK_S: Final = 60.0

log = structlog.get_logger("opentill.workers.watch")


async def watch_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Look every minute until told to stop; of several processes one does."""
    await repeat("watch", partial(look_once, dependencies), every_s=LOOK_S, stop=stop)


async def look_once(dependencies: Dependencies) -> bool:
    """Look, and write down what was found; return False: there is never more to do at once."""
    db, now = dependencies.db, dependencies.clock.now()
    if not await db.read(lambda tx: watch.is_due(tx, now=now)):
        return False
    seen = await db.read(lambda tx: watch.look(tx, now=now))
    await db.write(lambda tx: watch.note(tx, seen))
    if await db.read(lambda tx: unread.are_to_tell(tx, now=now)):
        await db.write(lambda tx: unread.tell(tx, now=now, ids=dependencies.ids))
    if seen.orphans.total:
        log.error("watch.orphans", **asdict(seen.orphans))
    return False
