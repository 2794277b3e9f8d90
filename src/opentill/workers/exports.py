"""The loop that writes exports, a page at a time (payments/exports)."""

import asyncio
from typing import Final

from opentill.payments.exports import service
from opentill.web.dependencies import Dependencies
from opentill.workers.repeat import repeat

LOOK_S: Final = 1.0


async def exports_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Write pages until *stop* is set. Any number of processes may run this."""

    async def look() -> bool:
        return await write_page(dependencies)

    await repeat("exports", look, every_s=LOOK_S, stop=stop)


async def write_page(dependencies: Dependencies) -> bool:
    """Write the next page of the oldest export; tell whether there was one."""
    db, now = dependencies.db, dependencies.clock.now()
    found = await db.read(lambda tx: service.next_page(tx, now=now))
    if found is None:
        return False
    export, page = found
    await db.write(lambda tx: service.keep(tx, export, page, keyring=dependencies.keyring, now=now))
    return True
