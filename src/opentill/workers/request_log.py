"""Storing what requests left for the request log, in batches, beside the requests."""

import asyncio
from contextlib import suppress
from typing import Final

from opentill.db import Database, DatabaseError
from opentill.kernel.errors import Busy
from opentill.web.request_log import RequestLog
from opentill.workers.repeat import repeat

EVERY_S: Final = 1.0


async def request_log_loop(lines: RequestLog, db: Database, stop: asyncio.Event) -> None:
    """Store lines, a batch a second or as many as there are, until told to stop; then all that is left."""

    async def store() -> bool:
        with suppress(Busy, DatabaseError):  # others need the database more: the lines wait here
            return await lines.store(db)
        return False

    await repeat("request log", store, every_s=EVERY_S, stop=stop)
    while await store():
        pass
