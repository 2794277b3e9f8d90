"""One round of a loop over what is due: each item on its own, so that what one of them meets keeps no other waiting."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from opentill.db import Unavailable
from opentill.kernel.errors import Busy

T = TypeVar("T")
Work = Callable[[T], Awaitable[object]]


class Round(Generic[T]):
    """Does *work* for everything that is due. What could not be dealt with is *put off*, where that is possible."""

    def __init__(self, work: Work[T], *, put_off: Work[T] | None = None) -> None:
        self._work = work
        self._put_off = put_off
        self._taken = 0
        self._faults: list[Exception] = []

    async def take(self, due: Iterable[T]) -> None:
        """Deal with some items. A database that is away ends the round at once."""
        for item in due:
            self._taken += 1
            try:
                await self._work(item)
            except (Unavailable, Busy):
                raise
            except Exception as fault:  # whatever it is, it belongs to this item
                self._faults.append(fault)
                if self._put_off is not None:
                    await self._put_off(item)

    def end(self) -> int:
        """Return how many items there were. Raises what some of them met, together."""
        if self._faults:
            raise ExceptionGroup(f"{len(self._faults)} of {self._taken} could not be dealt with", self._faults)
        return self._taken


async def each(due: Iterable[T], work: Work[T], *, put_off: Work[T] | None = None) -> int:
    """Do a round over what is at hand."""
    round_of = Round(work, put_off=put_off)
    await round_of.take(due)
    return round_of.end()
