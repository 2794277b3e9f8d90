"""Looking up host names, so that one slow name server stops nobody but its owner (webhooks.md §7.3).

The system resolver blocks, so it runs on threads of its own. A name is looked up once at a time, whoever
asks; one owner has at most four look-ups running, and holds the place until the resolver lets go of the
thread, not only until we stop waiting.
"""

import asyncio
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

LOOKUP_S: Final = 3.0
ANSWER_KEPT_S: Final = 30.0
FAILURE_KEPT_S: Final = 10.0
NAMES_KEPT_MAX: Final = 10_000
LOOKUPS_PER_OWNER_MAX: Final = 4
THREADS_MAX: Final = 32

Lookup = Callable[[str], Sequence[str]]
"""Return the addresses of a host name in the order to try them. Blocks; raises `OSError` if there are none."""


class NoSuchName(Exception):  # noqa: N818 - it says what is the matter
    """The name has no address, or its servers did not say."""


def system_lookup(host: str) -> Sequence[str]:
    """Ask the system resolver for both families."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


class Names:
    """Addresses by host name: answers are reused for 30 s, failures for 10 s. Belongs to one event loop."""

    def __init__(self, lookup: Lookup = system_lookup, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="lookup")
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._running: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._places: defaultdict[Hashable, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(LOOKUPS_PER_OWNER_MAX)
        )

    async def addresses(self, host: str, *, owner: Hashable = None) -> tuple[str, ...]:
        """Return the addresses of *host*, at least one. Raises `NoSuchName`, and `TimeoutError` after 3 s."""
        found = self._recall(host)
        if found is None:
            async with asyncio.timeout(LOOKUP_S):
                found = await self._find(host, owner)
        if not found:
            raise NoSuchName(host)
        return found

    async def close(self) -> None:
        """Stop. Look-ups that the resolver holds on to are left to it."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _recall(self, host: str) -> tuple[str, ...] | None:
        until, found = self._known.get(host, (0.0, ()))
        return found if self._monotonic() < until else None

    async def _find(self, host: str, owner: Hashable) -> tuple[str, ...]:
        task = self._running.get(host)
        if task is None:
            place = self._places[owner]
            await place.acquire()
            # While we waited for a place, somebody else may have asked, or been answered.
            found, task = self._recall(host), self._running.get(host)
            if found is not None or task is not None:
                place.release()
            if found is not None:
                return found
            task = task or self._start(host, place)
        # Our patience may end; the look-up goes on for whoever asks next.
        await asyncio.wait((task,))
        return () if task.cancelled() else task.result()

    def _start(self, host: str, place: asyncio.Semaphore) -> asyncio.Task[tuple[str, ...]]:
        task = asyncio.create_task(self._run(host))
        self._running[host] = task

        def done(_: asyncio.Task[tuple[str, ...]]) -> None:
            self._running.pop(host, None)
            place.release()

        task.add_done_callback(done)
        return task

    async def _run(self, host: str) -> tuple[str, ...]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, host)
        while len(self._known) >= NAMES_KEPT_MAX:
            del self._known[next(iter(self._known))]
        self._known.pop(host, None)
        self._known[host] = (self._monotonic() + (ANSWER_KEPT_S if found else FAILURE_KEPT_S), found)
        return found

    def _ask(self, host: str) -> tuple[str, ...]:
        try:
            return tuple(self._lookup(host))
        except (OSError, UnicodeError):
            return ()
