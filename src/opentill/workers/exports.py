"""The loop that writes exports, a page at a time (payments/exports)."""

import asyncio
from typing import Final

import structlog

from opentill.db import Unavailable
from opentill.kernel.errors import Busy
from opentill.payments.exports import service
from opentill.web.dependencies import Dependencies
from opentill.workers.repeat import repeat

LOOK_S: Final = 1.0

log = structlog.get_logger("opentill.workers")


async def exports_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Write pages until *stop* is set. Any number of processes may run this."""

    async def look() -> bool:
        return await write_page(dependencies)

    await repeat("exports", look, every_s=LOOK_S, stop=stop)


async def write_page(dependencies: Dependencies) -> bool:
    """Write the next page of the oldest export, or give it up; tell whether there was one."""
    db, now = dependencies.db, dependencies.clock.now()
    export = await db.read(service.under_way)
    if export is None:
        return False
    try:
        page = await db.read(lambda tx: service.next_page(tx, export, now=now))
        await db.write(lambda tx: service.keep(tx, export, page, keyring=dependencies.keyring, now=now))
    except (Unavailable, Busy):  # no fault of the export: the next round goes on with it
        raise
    except Exception:  # what one merchant asked for must not hold up everybody else's
        log.exception("export failed", export=export.id)
        await db.write(lambda tx: service.fail(tx, export, now=now))
    return True
