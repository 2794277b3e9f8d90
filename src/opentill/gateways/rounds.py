"""Rounds over what is due: each item on its own, so that what one of them meets keeps no other waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

import structlog

from opentill.db import Unavailable
from opentill.kernel.errors import Busy

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)  # what names a lane
Work = Callable[[T], Awaitable[object]]

AT_ONCE: Final = 8  # items of one lane

log = structlog.get_logger("opentill.gateways")


class Round(Generic[T]):
    """Does *work* for everything that is due. What could not be dealt with is *put off*, where that is possible."""

    def __init__(self, work: Work[T], *, put_off: Work[T] | None = None) -> None:
        self._work = work
        self._put_off = put_off
        self._taken = 0
        self._faults: list[Exception] = []

    async def take(self, due: Iterable[T]) -> None:
        """Deal with some items, one after the other. A database that is away ends the round at once."""
        for item in due:
            await self.take_one(item)

    async def take_one(self, item: T) -> None:
        """Deal with one item."""
        self._taken += 1
        try:
            await self._work(item)
        except (Unavailable, Busy):
            raise
        except Exception as fault:  # whatever it is, it belongs to this item
            self._faults.append(fault)
            await self._postpone(item)

    async def _postpone(self, item: T) -> None:
        """Put an item off. Where even that fails it stays due, and the others go on."""
        if self._put_off is None:
            return
        try:
            await self._put_off(item)
        except (Unavailable, Busy):
            raise
        except Exception as fault:  # whatever it is, it belongs to this item
            self._faults.append(fault)

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


class Lanes(Generic[K]):
    """Rounds side by side, one lane a bank account, gateway or merchant: one that hangs delays only itself.

    Within a lane a few items are dealt with at once. With a *patience*, who starts a round goes on after that
    time, and what is still under way stays `busy`: the caller leaves those lanes out until they are free.
    """

    def __init__(self, *, patience_s: float | None = None) -> None:
        self._patience_s = patience_s
        self._running: dict[K, asyncio.Task[int]] = {}

    @property
    def busy(self) -> frozenset[K]:
        """The lanes in which somebody has not answered yet."""
        return frozenset(self._running)

    @property
    def running(self) -> list[asyncio.Task[int]]:
        """What was left behind and is still under way."""
        return list(self._running.values())

    async def each(
        self, due: Iterable[T], lane: Callable[[T], K], work: Work[T], *, put_off: Work[T] | None = None
    ) -> int:
        """Do a round over what is at hand and return how many items there were.

        Raises what some of them met, together; of lanes left behind it is logged when they end.
        """
        lanes: dict[K, list[T]] = {}
        for item in due:
            lanes.setdefault(lane(item), []).append(item)
        free = {name: items for name, items in lanes.items() if name not in self._running}
        started = [self._start(name, items, work, put_off) for name, items in free.items()]
        if started:
            await self._wait(started)
        return sum(map(len, free.values()))

    def _start(self, name: K, items: list[T], work: Work[T], put_off: Work[T] | None) -> asyncio.Task[int]:
        task = asyncio.create_task(_side_by_side(items, Round(work, put_off=put_off)), name=f"lane {name}")
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))
        return task

    async def _wait(self, started: list[asyncio.Task[int]]) -> None:
        try:
            done, left = await asyncio.wait(started, timeout=self._patience_s)
        except asyncio.CancelledError:
            for task in started:
                task.cancel()
            raise
        for task in left:
            task.add_done_callback(_tell_of_faults)
        faults = [fault for task in done if (fault := task.exception()) is not None]
        for fault in faults:
            if isinstance(fault, Unavailable | Busy) or not isinstance(fault, Exception):
                raise fault  # the database is away, or the process is ending
        if faults:
            raise BaseExceptionGroup("some lanes met faults", faults)


async def _side_by_side(items: list[T], round_of: Round[T]) -> int:
    if len(items) == 1:
        await round_of.take(items)
        return round_of.end()
    left = iter(items)

    async def work_off() -> None:
        for item in left:
            await round_of.take_one(item)

    workers = [asyncio.create_task(work_off()) for _ in range(min(AT_ONCE, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return round_of.end()


def _tell_of_faults(task: asyncio.Task[int]) -> None:
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("items put off", lane=task.get_name(), exc_info=fault)
