"""Lookups: reads of one statement that finds rows by their key, made on the event loop.

Handing such a read to a thread and its answer back takes several times as long as the read (docs/adr/0014).
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from opentill.db.transaction import ReadTx

T = TypeVar("T")


class NotHere(Exception):  # noqa: N818 - names what happened
    """A reader's thread has to do this: it takes a second statement, waits for somebody, or failed."""


class SecondStatement(BaseException):
    """A unit of work goes on beyond one statement. Not for it to catch."""


class Lookups(Protocol):
    """Makes lookups on the event loop that opened it."""

    async def open(self) -> None:
        """Connect. Raises `Unavailable`."""
        ...

    async def find(self, work: Callable[[ReadTx], Any]) -> Any:
        """Run *work*, which may run twice. Raises what it raises, or `NotHere`."""
        ...

    async def close(self) -> None: ...
