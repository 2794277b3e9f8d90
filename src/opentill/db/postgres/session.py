"""Runs units of work on one PostgreSQL connection."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import psycopg

from opentill.db.errors import DatabaseError, Overloaded, Unavailable
from opentill.db.lane import Answer, Job, Work
from opentill.db.postgres.asking import asked_by
from opentill.db.postgres.connection import Connection, Cursor
from opentill.db.postgres.errors import ConnectionLost, InTheWay, is_stale_plan, translated
from opentill.db.postgres.prepared import Asked, Bound, Rows, Statements, bind
from opentill.db.statement import numbered
from opentill.db.transaction import Dialect
from opentill.db.unit import CursorTx, outcome

PAUSES_S = (0.0, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)  # before each try of one unit of work

Outcome = tuple[Any, BaseException | None]
AGAIN = (InTheWay, ConnectionLost)
BEGIN: Final[Asked] = ("begin", Bound([], (), []))
COMMIT: Final[Asked] = ("commit", Bound([], (), []))


class NeedsSnapshot(BaseException):
    """A read has a second statement, so both must see the same moment. Not for the unit of work to catch."""


class Transaction(CursorTx):
    """A `Tx` on a PostgreSQL connection.

    What opens a transaction, and what is deferred, goes to the server with the statement after it.
    """

    dialect: Dialect = "postgres"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._statements = Statements(connection)
        self._cursor = connection.cursor()
        self._waiting: list[Asked] = []

    @property
    def _begun(self) -> bool:
        """Whether `begin` was sent: until then it is the first of what waits."""
        return self._waiting[:1] != [BEGIN]

    def begin(self) -> None:
        self._waiting = [BEGIN]

    def commit(self) -> None:
        """Commit, where anything was asked. Raises `DatabaseError`."""
        if self._begun or len(self._waiting) > 1:
            self._ask(COMMIT)

    def roll_back(self) -> None:
        """Undo what was sent, and send nothing more."""
        begun = self._begun
        self._waiting.clear()
        if begun:
            self.command(b"rollback")

    def command(self, sql: bytes) -> None:
        """Execute what frames a unit of work, and has no values."""
        try:
            self._statements.command(sql)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def defer(self, sql: str, /, **params: object) -> None:
        bound = self._bound(sql, params)
        if bound is None:
            self._by_cursor(sql, params)
        else:
            self._waiting.append((sql, bound))

    def together(self, *works: Callable[[Any], Any]) -> tuple[Any, ...]:
        questions = [asked_by(work) for work in works]
        asked = [(question.sql, self._bound(question.sql, question.params)) for question in questions if question.sql]
        bound = [(sql, values) for sql, values in asked if values is not None]
        if len(bound) < len(asked):  # a value is for psycopg to write
            return tuple(work(self) for work in works)
        answers = iter(self._ask(*bound))
        for question in questions:
            if question.sql:
                question.rows = next(answers).fetchall()
        return tuple(work(question) for work, question in zip(works, questions, strict=True))

    def _execute(self, sql: str, params: Mapping[str, object]) -> Cursor | Rows:
        bound = self._bound(sql, params)
        return self._by_cursor(sql, params) if bound is None else self._ask((sql, bound))[-1]

    def _bound(self, sql: str, params: Mapping[str, object]) -> Bound | None:
        if self.failed is not None:  # PostgreSQL would not say again why
            raise self.failed
        try:
            return bind(sql, params)
        except psycopg.Error as error:
            raise self._failed_with(error) from error

    def _ask(self, *asked: Asked) -> list[Rows]:
        """Execute what waits and then what is *asked*; return what is answered to the latter."""
        if self.failed is not None:
            raise self.failed
        waiting, self._waiting = self._waiting, []
        try:
            if not waiting and len(asked) == 1:
                return [self._statements.execute(*asked[0])]
            return self._statements.execute_all([*waiting, *asked])[len(waiting) :]
        except psycopg.Error as error:
            raise self._failed_with(error) from error

    def _send_waiting(self) -> None:
        if self._waiting or self.failed is not None:
            self._ask()

    def _by_cursor(self, sql: str, params: Mapping[str, object]) -> Cursor:
        self._send_waiting()
        query, names = numbered(sql)
        try:
            return self._cursor.execute(query, [params[name] for name in names])
        except psycopg.Error as error:
            raise self._failed_with(error) from error

    def _execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> Cursor:
        self._send_waiting()
        query, names = numbered(sql)
        try:
            self._cursor.executemany(query, [[row[name] for name in names] for row in rows])
        except psycopg.Error as error:
            raise self._failed_with(error) from error
        return self._cursor

    def _failed_with(self, error: psycopg.Error) -> DatabaseError:
        """Note the error of a statement, after which no other is executed."""
        self.failed = self._translated(error)
        return self.failed

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

    together = CursorTx.together  # one by one: each is a statement that counts

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
        self._tx.begin()
        result, error = outcome(work, self._tx)
        if error is None:
            self._commit()
            self._recorded += self._tx.noted
        elif not self._connection.closed:
            self._tx.roll_back()
        # A unit of work may have taken a deadlock for an answer to itself: it is not.
        return result, self._tx.failed if isinstance(self._tx.failed, AGAIN) else error

    def _commit(self) -> None:
        try:
            self._tx.commit()
        except ConnectionLost as lost:
            raise Unavailable("the connection broke during the commit: whether it was stored is unknown") from lost
        except DatabaseError:
            self._tx.roll_back()
            raise


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
