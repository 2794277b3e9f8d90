"""A wake-up for those who wait for recorded events. It may be missed and may be false: the tables are the truth."""

import asyncio


class EventsRecorded:
    """Counts units of work of this process that recorded an event and were committed."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def add(self, units: int) -> None:
        """Count *units* more and wake everybody who waits. Called on the event loop, after the commit."""
        self.count += units
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_beyond(self, seen: int, timeout_s: float) -> int:
        """Return the count as soon as it exceeds *seen*, at the latest after *timeout_s* seconds."""
        if self.count <= seen:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await asyncio.wait((waiter,), timeout=timeout_s)
            finally:
                self._waiting.discard(waiter)
        return self.count
