"""One round of a loop over what is due: each item on its own, so that what one of them meets keeps no other waiting."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from opentill.db import Unavailable
from opentill.kernel.errors import Busy

T = TypeVar("T")


async def each(due: Sequence[T], work: Callable[[T], Awaitable[object]]) -> int:
    """Do *work* for everything that is due and return how much that was.

    Raises what some items met, together, once all had their turn. A database that is away ends the round at once.
    """
    faults: list[Exception] = []
    for item in due:
        try:
            await work(item)
        except (Unavailable, Busy):
            raise
        except Exception as fault:  # whatever it is, it belongs to this item
            faults.append(fault)
    if faults:
        raise ExceptionGroup(f"{len(faults)} of {len(due)} could not be dealt with", faults)
    return len(due)
