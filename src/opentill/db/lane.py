"""The way from the event loop to database threads and back.

Work is handed over once per turn of the event loop, so that whatever arrived together shares a commit. Answers wake
the loop once for all that are ready. What is accepted and not yet answered is bounded.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Protocol

from opentill.db.errors import Overloaded, Unavailable
from opentill.kernel.failpoints import reach

# A unit of work and who waits for it; then who waited, the result, and the error if there was one. Plain tuples,
# because one of each is made for every unit of work.
Work = Callable[[Any], Any]
Waiter = asyncio.Future[Any]
Job = tuple[Work, Waiter]
Answer = tuple[Waiter, Any, BaseException | None]


class Session(Protocol):
    """A connection with the skill to perform units of work. Lives on one thread."""

    def perform(self, jobs: Sequence[Job], executed: Callable[[], None]) -> tuple[list[Answer], int]:
        """Perform *jobs*; return an answer for each, and how many recorded an event. What it raises, all are told.

        It may say when all is *executed* and only the commit is left.
        """
        ...

    def rest(self) -> None:
        """Called when nothing came for `REST_AFTER_S` seconds."""
        ...

    def close(self) -> None: ...


REST_AFTER_S = 0.25
REFUSE_AFTER_S = 0.0002  # the event loop stops this long before it refuses work
STAND_ASIDE_S_MAX = 0.03  # and at the most this long while a lone thread executes: 64 units of work, on a slow machine


class _Phase(Enum):
    """What the thread of a lane is about."""

    RESTING = auto()
    EXECUTING = auto()
    TAKING_LONG = auto()  # executing what the event loop has given up waiting for
    COMMITTING = auto()


class Lane:
    """A bounded queue served by threads, one session each. The event loop may stand aside for a lone one."""

    def __init__(
        self,
        name: str,
        open_session: Callable[[], Session],
        *,
        threads: int,
        jobs_at_once_max: int,
        waiting_max: int,
        recorded: Callable[[int], None],
        stands_aside: bool = False,
    ) -> None:
        self._name = name
        self._open_session = open_session
        self._threads = threads
        self._jobs_at_once_max = jobs_at_once_max
        self._waiting_max = waiting_max
        self._recorded = recorded
        self._stands_aside = stands_aside
        self._waiting = 0
        self._open = False
        self._turn: list[Job] = []
        self._ended: list[asyncio.Future[None]] = []
        self._answers: deque[tuple[list[Answer], int]] = deque()
        self._ringing = False
        self._phase = _Phase.RESTING
        self._executed = Event()

    # On the event loop.

    async def open(self) -> None:
        """Start the threads; return when each has its session, raise what kept one from it."""
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
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
            self._hesitate()
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
        jobs, self._turn = self._turn, []
        self._executed.clear()
        for first in range(0, len(jobs), self._jobs_at_once_max):
            self._queue.put(jobs[first : first + self._jobs_at_once_max])  # together: each wakes a thread
        if jobs and self._phase in (_Phase.RESTING, _Phase.EXECUTING):
            self._stand_aside()

    def _stand_aside(self) -> None:
        """Leave the interpreter to a lone thread until it has executed what it took.

        The thread gives the interpreter away with every statement. A loop that takes it each time makes both spend
        more time on changing places than on their work; only the commit, which waits for the disk, is worth sharing.
        """
        if self._stands_aside and not self._executed.wait(STAND_ASIDE_S_MAX):
            self._phase = _Phase.TAKING_LONG

    def _hesitate(self) -> None:
        """Let the database threads have the interpreter: a loop that only refuses would keep it to itself."""
        self._hand_over()
        time.sleep(REFUSE_AFTER_S)
        self._deliver()

    def _deliver(self) -> None:
        if self._phase is _Phase.EXECUTING:
            self._stand_aside()
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
        self._executed.clear()
        self._phase = _Phase.EXECUTING
        try:
            answers, recorded = session.perform(jobs, self._note_executed)
        except BaseException as error:  # whatever it is, those who wait must hear it, and the thread goes on
            answers, recorded = [(waiter, None, error) for _, waiter in jobs], 0
        if recorded:
            reach("event.committed")
        self._phase = _Phase.RESTING
        self._executed.set()
        self._answers.append((answers, recorded))
        if not self._ringing:
            self._ringing = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _note_executed(self) -> None:
        self._phase = _Phase.COMMITTING
        self._executed.set()

    def _take(self, session: Session) -> list[Job]:
        """Wait for work and return what there is, until it is enough for once; nothing when the lane is closed."""
        try:
            more = self._queue.get(timeout=REST_AFTER_S)
        except Empty:
            session.rest()
            more = self._queue.get()
        jobs: list[Job] = []
        while more is not None:
            jobs += more
            if len(jobs) >= self._jobs_at_once_max or self._queue.empty():
                return jobs
            more = self._queue.get()
        if jobs:
            self._queue.put(None)  # close after these
        return jobs
