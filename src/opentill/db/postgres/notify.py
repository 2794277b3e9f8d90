"""Waking other processes: a `NOTIFY` after commits that recorded events, and a `LISTEN` for it.

Both use connections of their own, outside every transaction: a notifying commit would take a lock that serialises
all commits of the cluster (webhooks.md §5.2). A lost notification costs one poll interval, nothing else.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import psycopg

from opentill.db.database import Database

CHANNEL: Final = "opentill_events"
NOTIFY_EVERY_S: Final = 0.005
CONNECT_TIMEOUT_S: Final = 3
TRY_AGAIN_S: Final = 1.0
SEEN_ALL_S: Final = 3600.0


async def notify_loop(database: Database, url: str, stop: asyncio.Event) -> None:
    """Tell other processes of events this one recorded, at most once per 5 ms."""
    await _until(stop, _notify(database, url))


async def listen_loop(url: str, heard: Callable[[], None], stop: asyncio.Event) -> None:
    """Call *heard* when another process recorded events."""
    await _until(stop, _listen(url, heard))


async def _until(stop: asyncio.Event, work: Any) -> None:
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _notify(database: Database, url: str) -> None:
    seen = database.events_recorded.count
    while True:
        try:
            async with await _connect(url) as connection:
                while True:
                    seen = await database.events_recorded.wait_beyond(seen, SEEN_ALL_S)
                    await connection.execute(f"notify {CHANNEL}")
                    await asyncio.sleep(NOTIFY_EVERY_S)
        except psycopg.Error:
            await asyncio.sleep(TRY_AGAIN_S)  # the others poll meanwhile


async def _listen(url: str, heard: Callable[[], None]) -> None:
    while True:
        try:
            async with await _connect(url) as connection:
                await connection.execute(f"listen {CHANNEL}")
                heard()  # for what was recorded while nobody listened
                async for _ in connection.notifies():
                    heard()
        except psycopg.Error:
            await asyncio.sleep(TRY_AGAIN_S)


async def _connect(url: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="opentill wake-up"
    )
