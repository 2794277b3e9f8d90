"""What a unit of work sees of the database.

Statements are written once for both databases, with `:name` parameters and `cast(x as text)`. The few differences
are named fragments in `db/dialect.py`. A transaction is used on the thread it was opened on, and not after its unit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
Dialect = Literal["sqlite", "postgres"]


class Row(Protocol):
    """One row of an answer; `dict(row)` gives all of it."""

    def __getitem__(self, column: str, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


class ReadTx(Protocol):
    """A read transaction: everything in it sees the same moment."""

    @property
    def dialect(self) -> Dialect: ...

    def one_or_none(self, sql: str, /, **params: object) -> Row | None:
        """Return the only row, or None. More than one row is a bug and raises `TooManyRows`."""
        ...

    def all(self, sql: str, /, **params: object) -> Sequence[Row]:
        """Return every row."""
        ...


class Tx(ReadTx, Protocol):
    """A write transaction. Only the runner that opened it may commit it."""

    def run(self, sql: str, /, **params: object) -> int:
        """Execute an insert, update or delete; return how many rows it changed."""
        ...

    def defer(self, sql: str, /, **params: object) -> None:
        """Execute an insert, update or delete before the next statement, or the commit, and with it where that saves
        a round trip. What it meets is raised there.
        """
        ...

    @overload
    def together(self, first: Callable[["Tx"], A], second: Callable[["Tx"], B], /) -> tuple[A, B]: ...

    @overload
    def together(
        self, first: Callable[["Tx"], A], second: Callable[["Tx"], B], third: Callable[["Tx"], C], /
    ) -> tuple[A, B, C]: ...

    @overload
    def together(
        self,
        first: Callable[["Tx"], A],
        second: Callable[["Tx"], B],
        third: Callable[["Tx"], C],
        fourth: Callable[["Tx"], D],
        /,
    ) -> tuple[A, B, C, D]: ...

    def together(self, *works: Callable[["Tx"], Any]) -> tuple[Any, ...]:
        """Run works of one statement with an answer each, in this order and, where that is possible, in one round
        trip. Each may run twice, so none has an effect but through that statement, and none needs another's answer.
        """
        ...

    def many(self, sql: str, rows: Sequence[Mapping[str, object]], /) -> int:
        """Execute one statement for each of *rows*; return how many rows were changed in all."""
        ...

    def note_event(self) -> None:
        """Say that this unit records an event, so that whoever waits for events wakes after the commit."""
        ...
