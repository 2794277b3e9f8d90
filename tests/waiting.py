"""Waiting in tests, with a limit, for what must come first."""

import asyncio
import threading
from typing import Final

from opentill.db import Database, ReadTx

PATIENCE_S: Final = 10


class Gate:
    """Stops a unit of work on its database thread until the test lets it go on."""

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()

    def wait(self) -> None:
        self._reached.set()
        assert self._opened.wait(PATIENCE_S)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, PATIENCE_S)

    def open(self) -> None:
        self._opened.set()


async def until_somebody_waits(db: Database) -> None:
    """Return once a unit of work waits for a lock of another one. On SQLite whoever writes waits in any case."""
    await asyncio.sleep(0)  # it begins
    async with asyncio.timeout(PATIENCE_S):
        while db.dialect == "postgres" and not await db.read(_somebody_waits):  # noqa: ASYNC110 - no bell
            await asyncio.sleep(0.01)


def _somebody_waits(tx: ReadTx) -> bool:
    return bool(
        tx.all(
            """
            select 1 from pg_locks l join pg_stat_activity a on a.pid = l.pid
             where not l.granted and a.datname = current_database()
            """
        )
    )
