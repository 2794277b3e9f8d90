"""PostgreSQL: threads with a connection each, READ COMMITTED, explicit row locks."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.errors import Diagnostic
from psycopg.rows import dict_row
from psycopg.types.numeric import Int8Dumper

from opentill.db.database import Driver, Options
from opentill.db.errors import (
    CheckViolation,
    DatabaseError,
    IntegrityViolation,
    Overloaded,
    Unavailable,
    UniqueViolation,
)
from opentill.db.lane import Answer, Job, Waiter, Work
from opentill.db.statement import numbered
from opentill.db.transaction import Dialect
from opentill.db.unit import CursorTx, outcome

Connection = psycopg.Connection[dict[str, Any]]
Cursor = psycopg.Cursor[dict[str, Any]]

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 60
IDLE_IN_TRANSACTION_S = 60
STATEMENTS_MAX = 1024  # prepared statements kept per connection
TRIES_MAX = 8  # of one unit of work that others got in the way of
PAUSE_S = 0.002  # before the second try; doubles


class InTheWay(DatabaseError):  # noqa: N818 - names what happened
    """Another transaction was in the way: this one was rolled back and may run again."""


class ConnectionLost(Unavailable):
    """The connection broke before the commit was sent: nothing was stored, and the unit of work may run again."""


AGAIN = (InTheWay, ConnectionLost)


class NeedsSnapshot(BaseException):
    """A read has a second statement, so both must see the same moment. Not for the unit of work to catch."""


def driver(url: str, options: Options) -> Driver:
    """Return how sessions on the database at *url* are opened."""
    return Driver(
        dialect="postgres",
        writers=options.writers,
        jobs_at_once_max=1,
        open_writer=lambda: Writer(partial(connect, url, options)),
        open_reader=lambda: Reader(partial(connect, url, options, default_transaction_read_only="on")),
    )


def connect(url: str, options: Options, **settings: str) -> Connection:
    """Open a connection that never waits for ever. Raises `Unavailable`."""
    settings = {
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
        "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        "lock_timeout": f"{int(options.lock_timeout_s * 1000)}ms",
        "default_transaction_isolation": r"read\ committed",
        "timezone": "UTC",
        **settings,
    }
    try:
        connection: Connection = psycopg.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            cursor_factory=psycopg.RawCursor,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="opentill",
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
    except psycopg.Error as error:
        raise Unavailable(f"PostgreSQL does not answer: {error}") from error
    connection.prepare_threshold = 0
    connection.prepared_max = STATEMENTS_MAX
    types = connection.adapters
    # One type for every whole number, so that a statement is prepared once; flags are smallint.
    types.register_dumper(int, Int8Dumper)
    types.register_dumper(bool, Int8Dumper)
    # What SQLite would give: sums are whole numbers, conditions are 0 or 1.
    types.register_loader("numeric", NumberLoader)
    types.register_loader("bool", FlagLoader)
    return connection


class NumberLoader(Loader):
    """Loads a `numeric` as a whole number where it is one."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text else int(text)


class FlagLoader(Loader):
    """Loads a `boolean` as 0 or 1."""

    def load(self, data: Buffer) -> int:
        return int(data == b"t")


class Transaction(CursorTx):
    """A `Tx` on a PostgreSQL connection."""

    dialect: Dialect = "postgres"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._cursor = connection.cursor()

    def command(self, sql: bytes) -> None:
        """Execute what frames a unit of work: `begin`, `commit`, `rollback`."""
        try:
            self._cursor.execute(sql, prepare=False)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _execute(self, sql: str, params: Mapping[str, object]) -> Cursor:
        query, names = numbered(sql)
        try:
            return self._cursor.execute(query, [params[name] for name in names])
        except psycopg.Error as error:
            self.failed = self._translated(error)
            raise self.failed from error

    def _execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> Cursor:
        query, names = numbered(sql)
        try:
            self._cursor.executemany(query, [[row[name] for name in names] for row in rows])
        except psycopg.Error as error:
            self.failed = self._translated(error)
            raise self.failed from error
        return self._cursor

    def _translated(self, error: psycopg.Error) -> DatabaseError:
        return ConnectionLost(str(error)) if self._connection.closed else translated(error)


class ReadTransaction(Transaction):
    """A `ReadTx` that needs no `begin` and `commit` while it has a single statement."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.statements_left = 1

    def _execute(self, sql: str, params: Mapping[str, object]) -> Cursor:
        if not self.statements_left:
            raise NeedsSnapshot
        self.statements_left -= 1
        return super()._execute(sql, params)


class Writer:
    """Runs each unit of work in a transaction, again where another transaction was in the way."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection = connect()
        self._tx = Transaction(self._connection)
        self._recorded = 0

    def perform(self, jobs: Sequence[Job]) -> tuple[list[Answer], int]:
        self._recorded = 0
        return [self._perform(work, waiter) for work, waiter in jobs], self._recorded

    def _perform(self, work: Work, waiter: Waiter) -> Answer:
        if waiter.cancelled():  # nobody waits any more, and nothing was begun
            return waiter, None, None
        for tried in range(TRIES_MAX):
            result, error = self._try(work)
            if not isinstance(error, AGAIN):
                return waiter, result, error
            time.sleep(PAUSE_S * 2**tried)
        return waiter, None, given_up(error)

    def _try(self, work: Work) -> tuple[Any, BaseException | None]:
        try:
            if self._connection.closed:
                self._connection = self._connect()
                self._tx = Transaction(self._connection)
            self._tx.command(b"begin")
            result, error = outcome(work, self._tx)
            if error is None:
                self._commit()
                self._recorded += self._tx.noted
            elif not self._connection.closed:
                self._tx.command(b"rollback")
        except DatabaseError as failure:
            return None, failure
        # A unit of work may have taken a deadlock for an answer of its own: it is not.
        return result, self._tx.failed if isinstance(self._tx.failed, AGAIN) else error

    def _commit(self) -> None:
        try:
            self._tx.command(b"commit")
        except ConnectionLost as lost:
            raise Unavailable("the connection broke during the commit: whether it was stored is unknown") from lost

    def rest(self) -> None:
        """Nothing to tidy."""

    def close(self) -> None:
        self._connection.close()


class Reader:
    """Runs units of work that only read: one statement by itself, more of them on one snapshot."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection = connect()

    def perform(self, jobs: Sequence[Job]) -> tuple[list[Answer], int]:
        return [self._perform(work, waiter) for work, waiter in jobs], 0

    def _perform(self, work: Work, waiter: Waiter) -> Answer:
        for tried in range(TRIES_MAX):
            result, error = self._try(work)
            if not isinstance(error, AGAIN):
                return waiter, result, error
            time.sleep(PAUSE_S * 2**tried)
        return waiter, None, given_up(error)

    def _try(self, work: Work) -> tuple[Any, BaseException | None]:
        try:
            if self._connection.closed:
                self._connection = self._connect()
            result, error = outcome(work, ReadTransaction(self._connection))
            if isinstance(error, NeedsSnapshot):
                return self._on_snapshot(work)
        except DatabaseError as failure:
            return None, failure
        return result, error

    def _on_snapshot(self, work: Work) -> tuple[Any, BaseException | None]:
        tx = Transaction(self._connection)
        tx.command(b"begin isolation level repeatable read")
        result, error = outcome(work, tx)
        if not self._connection.closed:
            tx.command(b"rollback")
        return result, error

    def rest(self) -> None:
        """Nothing to tidy."""

    def close(self) -> None:
        self._connection.close()


def given_up(error: BaseException | None) -> BaseException:
    """Return what a waiter is told when its unit of work was run often enough."""
    if isinstance(error, InTheWay):
        return Overloaded("other transactions were in the way too often")
    return error or Unavailable("not tried")


def translated(error: psycopg.Error) -> DatabaseError:
    """Return what OpenTill calls this error of the driver."""
    state, message = error.sqlstate or "", error.diag.message_primary or str(error)
    match state:
        case "23505":
            return UniqueViolation(message, unique_columns(error.diag))
        case "23514":
            return CheckViolation(message, error.diag.constraint_name or message)
        case "23502":
            return IntegrityViolation(message, f"{error.diag.table_name}.{error.diag.column_name}")
        case "40001" | "40P01":
            return InTheWay(message)
        case "55P03":
            return Unavailable(message)
    match state[:2]:
        case "23":
            return IntegrityViolation(message, error.diag.constraint_name or message)
        case "08" | "53" | "57" | "58":  # connection, resources, an operator stepped in, the disk
            return Unavailable(message)
    return DatabaseError(message)


def unique_columns(diag: Diagnostic) -> str:
    """Return `table.column, table.column`, or the index where it is on an expression, as SQLite says it."""
    columns = re.match(r"[^(]*\(([\w, ]+)\)=", diag.message_detail or "")
    if columns is None:
        return f"index '{diag.constraint_name}'"
    return ", ".join(f"{diag.table_name}.{column}" for column in columns[1].split(", "))
