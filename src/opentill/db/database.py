"""The database as the rest of OpenTill sees it: hand it a unit of work, await the result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from opentill.db.hint import EventsRecorded
from opentill.db.lane import Lane, Session
from opentill.db.lookup import Lookups, NotHere
from opentill.db.transaction import Dialect, ReadTx, Tx

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Limits of one process's database connections."""

    waiting_max: int = 1024  # units of work accepted and not yet answered, writes and reads each
    group_max: int = 64  # SQLite: units of work that share one commit
    writers: int = 8  # PostgreSQL: connections that write; SQLite has one
    readers: int = 4  # connections that read
    lock_timeout_s: float = 5.0  # how long a statement waits for a lock of somebody else


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How to open sessions of one kind of database."""

    dialect: Dialect
    writers: int
    jobs_at_once_max: int
    reads_at_once_max: int
    open_writer: Callable[[], Session]
    open_reader: Callable[[], Session]
    lookups: Callable[[], Lookups]


class Database:
    """One process's connections to its database. Belongs to the event loop that starts it."""

    def __init__(self, driver: Driver, options: Options) -> None:
        self.dialect = driver.dialect
        self.events_recorded = EventsRecorded()
        self._writes = Lane(
            "database-writer",
            driver.open_writer,
            threads=driver.writers,
            jobs_at_once_max=driver.jobs_at_once_max,
            waiting_max=options.waiting_max,
            recorded=self.events_recorded.add,
            stands_aside=driver.writers == 1 and driver.jobs_at_once_max > 1,
        )
        self._reads = Lane(
            "database-reader",
            driver.open_reader,
            threads=options.readers,
            jobs_at_once_max=driver.reads_at_once_max,
            waiting_max=options.waiting_max,
            recorded=self.events_recorded.add,
        )
        self._lookups = driver.lookups()

    async def start(self) -> None:
        """Open every connection. Raises `Unavailable` when the database does not answer."""
        await self._writes.open()
        try:
            await self._reads.open()
        except BaseException:
            await self._writes.close()
            raise
        try:
            await self._lookups.open()
        except BaseException:
            await self._writes.close()
            await self._reads.close()
            raise

    async def close(self) -> None:
        """Finish what was accepted, then close every connection."""
        await self._lookups.close()
        await self._writes.close()
        await self._reads.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run *work* in a transaction on a database thread; return its result after the commit.

        *work* may run twice, so it has no effect but through its transaction. Whatever it raises rolls it back and
        is raised here. Raises `Overloaded` or `Unavailable`; after the latter the outcome may be unknown.
        Cancelling the caller does not undo work that has begun.
        """
        result: T = await self._writes.submit(work)
        return result

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        """Run *work* on a snapshot of the database, without keeping writers waiting. It may run twice."""
        result: T = await self._reads.submit(work)
        return result

    async def lookup(self, work: Callable[[ReadTx], T]) -> T:
        """Run *work*, one statement that finds few rows by their key, without a thread if that is possible.

        Anything else is correct too, but then a `read` is faster. It may run twice.
        """
        try:
            result: T = await self._lookups.find(work)
        except NotHere:
            result = await self._reads.submit(work)
        return result
