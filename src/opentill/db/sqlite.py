"""SQLite: one writer whose queued units of work share a commit, and readers beside it."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

from opentill.db.database import Driver, Options
from opentill.db.errors import CheckViolation, DatabaseError, IntegrityViolation, Unavailable, UniqueViolation
from opentill.db.lane import Answer, Job, Waiter, Work
from opentill.db.lookup import NotHere, SecondStatement
from opentill.db.transaction import Dialect, Row
from opentill.db.unit import CursorTx, outcome

LIBRARY_MIN = (3, 37, 0)  # strict tables
STATEMENTS_MAX = 1024  # prepared statements kept per connection
# Reads a thread takes at once. Most take microseconds, less than waking another thread: 16 at a time answer twice as
# many callers as one at a time. A slow one keeps at most 15 waiting.
READS_AT_ONCE_MAX = 16
CACHE_KIB = 32 * 1024
LOG_PAGES_MAX = 8000  # the log is copied into the file when idle, and during a commit beyond this size
_NAME = itemgetter(0)  # of a column, in a cursor's description
LOG_BYTES_MAX = 64 * 1024 * 1024  # the log is cut to this size after it was copied


def driver(path: Path, options: Options) -> Driver:
    """Return how sessions on the database file *path* are opened. The file is made if there is none."""
    return Driver(
        dialect="sqlite",
        writers=1,
        jobs_at_once_max=options.group_max,
        reads_at_once_max=READS_AT_ONCE_MAX,
        open_writer=lambda: Writer(connect(path, options)),
        open_reader=lambda: Reader(connect(path, options)),
        lookups=lambda: Lookups(path, options),
    )


def connect(path: Path, options: Options) -> sqlite3.Connection:
    """Open the file with the settings money needs: every commit is on disk before it is answered."""
    if sqlite3.sqlite_version_info < LIBRARY_MIN:
        raise Unavailable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or later is needed")
    try:
        if not path.exists():
            path.touch(mode=0o600)
        connection = sqlite3.connect(
            path, timeout=options.lock_timeout_s, isolation_level=None, cached_statements=STATEMENTS_MAX
        )
        connection.row_factory = sqlite3.Row
        for setting in (
            "auto_vacuum = incremental",  # of a new file: what retention frees can be given back to the disk
            "journal_mode = wal",
            "synchronous = full",
            "foreign_keys = on",
            "recursive_triggers = on",  # so that `or replace` cannot slip past a guard on deletes
            "temp_store = memory",
            f"cache_size = -{CACHE_KIB}",
            f"wal_autocheckpoint = {LOG_PAGES_MAX}",
            f"journal_size_limit = {LOG_BYTES_MAX}",
        ):
            connection.execute(f"pragma {setting}")
        if connection.execute("pragma journal_mode").fetchone()["journal_mode"] != "wal":
            raise Unavailable(f"{path} cannot have a write-ahead log")
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"cannot open {path}: {error}") from error
    return connection


def stored_revision(path: Path) -> str | None:
    """Return the revision of the schema in the file, None when there is no file or no schema. Raises `Unavailable`."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("select 1 from sqlite_schema where name = 'alembic_version'").fetchone() is None:
                return None
            row = connection.execute("select version_num from alembic_version").fetchone()
    except sqlite3.Error as error:
        raise Unavailable(f"the database does not answer: {error}") from error
    return None if row is None else str(row[0])


class Transaction(CursorTx):
    """A `Tx` on an SQLite connection."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._cursor = connection.cursor()
        self._cursor.row_factory = _by_name

    def run(self, sql: str, /, **params: object) -> int:
        changed = self._execute(sql, params).rowcount
        # The driver does not count for statements that begin with `with`.
        return changed if changed >= 0 else int(self._execute("select changes() as changed", {}).fetchone()["changed"])

    def _execute(self, sql: str, params: Mapping[str, object]) -> sqlite3.Cursor:
        if self.failed is not None:  # there may be no transaction any more
            raise self.failed
        try:
            return self._cursor.execute(sql, params)
        except sqlite3.Error as error:
            self.failed = translated(error)
            raise self.failed from error

    def _execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> sqlite3.Cursor:
        if self.failed is not None:
            raise self.failed
        try:
            return self._cursor.executemany(sql, rows)
        except sqlite3.Error as error:
            self.failed = translated(error)
            raise self.failed from error


def _by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Row:
    """Return a row as a dict: `sqlite3.Row` looks through all names of a wide one for each of its values."""
    return dict(zip(map(_NAME, cursor.description), row, strict=True))


class Writer:
    """Commits units of work together, each in a savepoint of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._tx = Transaction(connection)
        self._recorded = 0
        self._log_grew = False

    def perform(self, jobs: Sequence[Job], executed: Callable[[], None]) -> tuple[list[Answer], int]:
        """Run *jobs* in one transaction and commit once. A job that fails loses its own changes only."""
        self._recorded = 0
        try:
            self._execute("begin immediate")
            answers = [self._in_savepoint(work, waiter) for work, waiter in jobs]
            executed()
            self._execute("commit")
        except sqlite3.Error as error:  # all of it is lost, and everybody hears why
            raise translated(error) from error
        finally:
            end(self._connection)
        self._log_grew = True
        return answers, self._recorded

    def _in_savepoint(self, work: Work, waiter: Waiter) -> Answer:
        if waiter.cancelled():  # nobody waits any more, and nothing was begun
            return waiter, None, None
        self._execute("savepoint unit")
        result, error = outcome(work, self._tx)
        if error is not None:
            if not self._connection.in_transaction:  # SQLite gave up all of it, as it does on a full disk
                raise error
            self._execute("rollback to unit")
        elif self._tx.noted:
            self._recorded += 1
        self._execute("release unit")
        return waiter, result, error

    def rest(self) -> None:
        """Copy the log into the file while nobody waits."""
        if self._log_grew:
            with suppress(sqlite3.Error):  # a commit will do it when the log is large
                self._execute("pragma wal_checkpoint(passive)")
            self._log_grew = False

    def close(self) -> None:
        self._connection.close()


class Reader:
    """Runs units of work on a snapshot that no writer waits for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute("pragma query_only = on")
        self._connection = connection
        self._tx = Transaction(connection)

    def perform(self, jobs: Sequence[Job], executed: Callable[[], None]) -> tuple[list[Answer], int]:
        return [(waiter, *self._on_snapshot(work)) for work, waiter in jobs], 0

    def _on_snapshot(self, work: Work) -> tuple[Any, BaseException | None]:
        try:
            self._connection.execute("begin")
            return outcome(work, self._tx)
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            end(self._connection)

    def rest(self) -> None:
        """Nothing to tidy."""

    def close(self) -> None:
        self._connection.close()


class OneStatement(Transaction):
    """A `ReadTx` of one statement, which sees one moment by itself."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.executed = False

    def _execute(self, sql: str, params: Mapping[str, object]) -> sqlite3.Cursor:
        if self.executed:
            raise SecondStatement
        self.executed = True
        return super()._execute(sql, params)


class Lookups:
    """Reads on the event loop, from memory as a rule, that wait for nobody."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options

    async def open(self) -> None:
        self._connection = connect(self._path, self._options)
        self._connection.execute("pragma query_only = on")
        self._connection.execute("pragma busy_timeout = 0")
        self._tx = OneStatement(self._connection)

    async def find(self, work: Work) -> Any:
        self._tx.executed = False
        result, error = outcome(work, self._tx)
        if isinstance(error, SecondStatement | DatabaseError):
            raise NotHere from error
        if error is not None:
            raise error
        return result

    async def close(self) -> None:
        self._connection.close()


def end(connection: sqlite3.Connection) -> None:
    """Leave the transaction, if there still is one, without storing anything."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("rollback")


_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}


def translated(error: sqlite3.Error) -> DatabaseError:
    """Return what OpenTill calls this error of the driver."""
    message = str(error)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    constraint = message.partition(" constraint failed: ")[2] or message
    if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
        return UniqueViolation(message, constraint)
    if code in (sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_TRIGGER):
        return CheckViolation(message, constraint)
    if isinstance(error, sqlite3.IntegrityError):
        return IntegrityViolation(message, constraint)
    if code & 0xFF in _AWAY:
        return Unavailable(message)
    return DatabaseError(message)
