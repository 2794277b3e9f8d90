"""The way from the event loop to database threads and back.

Work is handed over once per turn of the event loop, so that whatever arrived together shares a commit. Answers wake
the loop once for all that are ready. What is accepted and not yet answered is bounded.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

from opentill.db.errors import Overloaded, Unavailable

# A unit of work and who waits for it; then who waited, the result, and the error if there was one. Plain tuples,
# because one of each is made for every unit of work.
Work = Callable[[Any], Any]
Waiter = asyncio.Future[Any]
Job = tuple[Work, Waiter]
Answer = tuple[Waiter, Any, BaseException | None]


class Session(Protocol):
    """A connection with the skill to perform units of work. Lives on one thread."""

    def perform(self, jobs: Sequence[Job]) -> tuple[list[Answer], int]:
        """Perform *jobs*; return an answer for each, and how many recorded an event. What it raises, all are told."""
        ...

    def rest(self) -> None:
        """Called when nothing came for `REST_AFTER_S` seconds."""
        ...

    def close(self) -> None: ...


REST_AFTER_S = 0.25
STAND_ASIDE_S = 0.0002  # the event loop stops this long before it refuses work


class Lane:
    """A bounded queue served by threads, one session each."""

    def __init__(
        self,
        name: str,
        open_session: Callable[[], Session],
        *,
        threads: int,
        jobs_at_once_max: int,
        waiting_max: int,
        recorded: Callable[[int], None],
    ) -> None:
        self._name = name
        self._open_session = open_session
        self._threads = threads
        self._jobs_at_once_max = jobs_at_once_max
        self._waiting_max = waiting_max
        self._recorded = recorded
        self._waiting = 0
        self._open = False
        self._turn: list[Job] = []
        self._ended: list[asyncio.Future[None]] = []
        self._answers: deque[tuple[list[Answer], int]] = deque()
        self._ringing = False

    # On the event loop.

    async def open(self) -> None:
        """Start the threads; return when each has its session, raise what kept one from it."""
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._ended = []
        opened: list[asyncio.Future[None]] = []
        for number in range(1, self._threads + 1):
            opened.append(self._loop.create_future())
            self._ended.append(self._loop.create_future())
            Thread(
                target=self._live, args=(opened[-1], self._ended[-1]), name=f"{self._name}-{number}", daemon=True
            ).start()
        self._open = True
        try:
            await asyncio.gather(*opened)
        except BaseException:
            await self.close()
            raise

    def submit(self, work: Work) -> asyncio.Future[Any]:
        """Accept a unit of work; the future gives its result after it was committed."""
        if not self._open:
            raise Unavailable("the database is closed")
        if self._waiting >= self._waiting_max:
            self._stand_aside()
        if self._waiting >= self._waiting_max:
            raise Overloaded(f"{self._waiting} units of work are waiting for the database")
        self._waiting += 1
        waiter = self._loop.create_future()
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append((work, waiter))
        return waiter

    async def close(self) -> None:
        """Accept nothing more, finish what was accepted, and end the threads."""
        self._open = False
        self._hand_over()
        for _ in self._ended:
            self._queue.put(None)
        await asyncio.gather(*self._ended)

    def _hand_over(self) -> None:
        for job in self._turn:
            self._queue.put(job)
        self._turn = []

    def _stand_aside(self) -> None:
        """Let the database threads have the interpreter: a loop that only refuses would keep it to itself."""
        self._hand_over()
        time.sleep(STAND_ASIDE_S)
        self._deliver()

    def _deliver(self) -> None:
        self._ringing = False
        while self._answers:
            answers, recorded = self._answers.popleft()
            for waiter, result, error in answers:
                if waiter.done():
                    continue
                if error is None:
                    waiter.set_result(result)
                else:
                    waiter.set_exception(error)
            self._waiting -= len(answers)
            if recorded:
                self._recorded(recorded)

    # On a database thread.

    def _live(self, opened: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
        tell = self._loop.call_soon_threadsafe
        try:
            session = self._open_session()
        except Exception as error:  # whatever it is, it belongs to whoever opens the database
            tell(opened.set_exception, error)
            tell(ended.set_result, None)
            return
        tell(opened.set_result, None)
        try:
            while jobs := self._take(session):
                self._perform(session, jobs)
            session.close()
        finally:
            tell(ended.set_result, None)

    def _perform(self, session: Session, jobs: list[Job]) -> None:
        try:
            answers, recorded = session.perform(jobs)
        except BaseException as error:  # whatever it is, those who wait must hear it, and the thread goes on
            answers, recorded = [(waiter, None, error) for _, waiter in jobs], 0
        self._answers.append((answers, recorded))
        if not self._ringing:
            self._ringing = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _take(self, session: Session) -> list[Job]:
        """Wait for work and return all there is, up to the most at once; nothing when the lane is closed."""
        try:
            job = self._queue.get(timeout=REST_AFTER_S)
        except Empty:
            session.rest()
            job = self._queue.get()
        jobs: list[Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._jobs_at_once_max or self._queue.empty():
                return jobs
            job = self._queue.get()
        if jobs:
            self._queue.put(None)  # close after these
        return jobs
