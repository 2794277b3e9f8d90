"""What both runners share: a `Tx` on a cursor, and running a unit of work with it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from opentill.db.errors import DatabaseError
from opentill.db.transaction import Row


class TooManyRows(Exception):  # noqa: N818 - names what happened
    """A statement that promised at most one row gave more."""


class Cursor(Protocol):
    """What the cursors of both drivers have."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class CursorTx(ABC):
    """A `Tx` on one cursor. A session has one, which serves all its units of work, one after the other."""

    def __init__(self) -> None:
        self.failed: DatabaseError | None = None  # the error of a statement, after which no other is executed
        self.noted = False  # this unit of work records an event

    def run(self, sql: str, /, **params: object) -> int:
        return self._execute(sql, params).rowcount

    def defer(self, sql: str, /, **params: object) -> None:
        self.run(sql, **params)

    def together(self, *works: Callable[[Any], Any]) -> tuple[Any, ...]:
        return tuple(work(self) for work in works)

    def one_or_none(self, sql: str, /, **params: object) -> Row | None:
        cursor = self._execute(sql, params)
        row: Row | None = cursor.fetchone()
        if row is not None and cursor.fetchone() is not None:
            raise TooManyRows(sql)
        return row

    def all(self, sql: str, /, **params: object) -> Sequence[Row]:
        return self._execute(sql, params).fetchall()

    def many(self, sql: str, rows: Sequence[Mapping[str, object]], /) -> int:
        return self._execute_many(sql, rows).rowcount if rows else 0

    def note_event(self) -> None:
        self.noted = True

    @abstractmethod
    def _execute(self, sql: str, params: Mapping[str, object]) -> Cursor: ...

    @abstractmethod
    def _execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> Cursor: ...


def outcome(work: Callable[[Any], Any], tx: CursorTx) -> tuple[Any, BaseException | None]:
    """Run a unit of work; return its result, or its error. One that met a database error has no result."""
    tx.failed, tx.noted = None, False
    try:
        result = work(tx)
    except StopIteration as error:
        return None, RuntimeError(f"a unit of work raised {error!r}")  # no future can carry it
    except BaseException as error:  # whatever it is, it belongs to the waiter
        return None, error
    return result, tx.failed
