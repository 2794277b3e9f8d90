"""Runs units of work on one PostgreSQL connection."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from opentill.db.errors import DatabaseError, Overloaded, Unavailable
from opentill.db.lane import Answer, Job, Work
from opentill.db.postgres.connection import Connection, Cursor
from opentill.db.postgres.errors import ConnectionLost, InTheWay, is_stale_plan, translated
from opentill.db.postgres.prepared import Rows, Statements, bind
from opentill.db.statement import numbered
from opentill.db.transaction import Dialect
from opentill.db.unit import CursorTx, outcome

PAUSES_S = (0.0, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)  # before each try of one unit of work

Outcome = tuple[Any, BaseException | None]
AGAIN = (InTheWay, ConnectionLost)


class NeedsSnapshot(BaseException):
    """A read has a second statement, so both must see the same moment. Not for the unit of work to catch."""


class Transaction(CursorTx):
    """A `Tx` on a PostgreSQL connection."""

    dialect: Dialect = "postgres"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._statements = Statements(connection)
        self._cursor = connection.cursor()

    def command(self, sql: bytes) -> None:
        """Execute what frames a unit of work: `begin`, `commit`, `rollback`."""
        try:
            self._statements.command(sql)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _execute(self, sql: str, params: Mapping[str, object]) -> Cursor | Rows:
        if self.failed is not None:  # PostgreSQL would not say again why
            raise self.failed
        try:
            bound = bind(sql, params)
            if bound is not None:
                return self._statements.execute(sql, bound)
            query, names = numbered(sql)
            return self._cursor.execute(query, [params[name] for name in names])
        except psycopg.Error as error:
            self.failed = self._translated(error)
            raise self.failed from error

    def _execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> Cursor:
        if self.failed is not None:
            raise self.failed
        query, names = numbered(sql)
        try:
            self._cursor.executemany(query, [[row[name] for name in names] for row in rows])
        except psycopg.Error as error:
            self.failed = self._translated(error)
            raise self.failed from error
        return self._cursor

    def _translated(self, error: psycopg.Error) -> DatabaseError:
        if is_stale_plan(error):
            self._connection.close()  # a new one prepares its statements anew
        return ConnectionLost(str(error)) if self._connection.closed else translated(error)


class ReadTransaction(Transaction):
    """A `ReadTx`. One statement sees one moment by itself; only more of them are worth the two round trips."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_snapshot = False
        self.statements = 0

    def _execute(self, sql: str, params: Mapping[str, object]) -> Cursor | Rows:
        self.statements += 1
        if self.statements > 1 and not self.on_snapshot:
            raise NeedsSnapshot
        return super()._execute(sql, params)


class Session(ABC):
    """A connection that is opened again after it broke, and units of work that run again where that is safe."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._recorded = 0
        self._open()

    def perform(self, jobs: Sequence[Job], executed: Callable[[], None]) -> tuple[list[Answer], int]:
        self._recorded = 0
        return [
            # Where nobody waits any more, nothing is begun.
            (waiter, None, None) if waiter.cancelled() else (waiter, *self._settle(work))
            for work, waiter in jobs
        ], self._recorded

    def _settle(self, work: Work) -> Outcome:
        """Run a unit of work until it has an outcome that is its own."""
        error: BaseException | None = None
        for pause_s in PAUSES_S:
            if pause_s:
                time.sleep(pause_s)
            result, error = self._try(work)
            if not isinstance(error, AGAIN):
                return result, error
        if isinstance(error, InTheWay):
            error = Overloaded(f"other transactions were in the way {len(PAUSES_S)} times")
        return None, error

    def _try(self, work: Work) -> Outcome:
        try:
            if self._connection.closed:
                self._open()
            return self._run(work)
        except DatabaseError as error:  # of what frames the unit of work
            return None, error

    def _open(self) -> None:
        self._connection = self._connect()

    @abstractmethod
    def _run(self, work: Work) -> Outcome: ...

    def rest(self) -> None:  # noqa: B027 - there is nothing to tidy
        """Nothing to tidy."""

    def close(self) -> None:
        self._connection.close()


class Writer(Session):
    """Runs each unit of work in a transaction of its own."""

    def _open(self) -> None:
        super()._open()
        self._tx = Transaction(self._connection)

    def _run(self, work: Work) -> Outcome:
        self._tx.command(b"begin")
        result, error = outcome(work, self._tx)
        if error is None:
            self._commit()
            self._recorded += self._tx.noted
        elif not self._connection.closed:
            self._tx.command(b"rollback")
        # A unit of work may have taken a deadlock for an answer to itself: it is not.
        return result, self._tx.failed if isinstance(self._tx.failed, AGAIN) else error

    def _commit(self) -> None:
        try:
            self._tx.command(b"commit")
        except ConnectionLost as lost:
            raise Unavailable("the connection broke during the commit: whether it was stored is unknown") from lost


class Reader(Session):
    """Runs units of work that only read, on a connection that is read-only."""

    def _open(self) -> None:
        super()._open()
        self._tx = ReadTransaction(self._connection)
        self._several: set[object] = set()  # the code of units of work that had more than one statement

    def _run(self, work: Work) -> Outcome:
        code = getattr(work, "__code__", None)
        if code not in self._several:
            self._tx.on_snapshot, self._tx.statements = False, 0
            result, error = outcome(work, self._tx)
            if not isinstance(error, NeedsSnapshot):
                return result, error
            if code is not None:
                self._several.add(code)
        return self._run_on_snapshot(work)

    def _run_on_snapshot(self, work: Work) -> Outcome:
        self._tx.on_snapshot = True
        self._tx.command(b"begin isolation level repeatable read")
        result, error = outcome(work, self._tx)
        if not self._connection.closed:
            self._tx.command(b"rollback")
        return result, error
