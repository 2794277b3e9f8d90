"""What every command needs first: the folder, the keys and the tables, made where they are missing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from opentill.db import Database, Tx, open_database
from opentill.db.migrations import migrate
from opentill.master_keys import open_keyring
from opentill.settings import Settings

T = TypeVar("T")


def prepare(settings: Settings) -> None:
    """Make the data folder, the master key and the newest tables. Safe to repeat, and beside a running server."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    open_keyring(settings)
    migrate(settings.database_url)


def with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Prepare, open the database once, and do something with it."""
    prepare(settings)

    async def opened() -> T:
        async with open_database(settings.database_url) as database:
            return await work(database)

    return asyncio.run(opened())


def in_transaction(settings: Settings, work: Callable[[Tx], T]) -> T:
    """Prepare, and do something in one transaction."""
    return with_database(settings, lambda database: database.write(work))
