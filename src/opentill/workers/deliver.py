"""The dispatcher loop: claims due deliveries, sends them, records what became of them (webhooks.md §5).

There is no local backlog: what is claimed is being sent. State lives in the rows only, so that a process may die at
any moment; whatever it was sending is sent again when its lease has lapsed.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

import structlog

from opentill.db import DatabaseError, Tx, Unavailable
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import Busy
from opentill.kernel.failpoints import reach
from opentill.webhooks import clock_steps, completion, metrics, partitions, queries, queue, rules, sending
from opentill.webhooks.completion import Completed
from opentill.webhooks.direct import Slots
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import Job, Result
from opentill.webhooks.queue import CLAIM_ROWS_MAX, COMPLETE_ROWS_MAX

log = structlog.get_logger("opentill.workers.deliver")

POLL_S: Final = 1.0
POLL_BUSY_S: Final = 0.25
BUSY_FOR_S: Final = 10.0
FLUSH_S: Final = 0.010
RECLAIM_S: Final = 5.0
WATCH_S: Final = 1.0
RESULTS_MAX: Final = 10_000
PASSED_OVER_MAX: Final = 64  # the others wait for the next look at all lanes
LEASE_SPARE_S: Final = 5.0  # a claim with less than the timeout and this much left is given back unsent
FINISH_S: Final = 20.0
TROUBLE_PAUSE_S: Final = 0.1
TROUBLE_PAUSE_MAX_S: Final = 2.0


async def deliver_loop(engine: Engine, stop: asyncio.Event) -> None:
    """Deliver until *stop* is set, then finish what is under way. Any number of processes may run this."""
    dispatcher = Dispatcher(engine)
    await dispatcher.run(stop)


class UnderWay(NamedTuple):
    """An attempt that is being made."""

    task: asyncio.Task[None]
    endpoint_id: int
    began: float  # monotonic


class Dispatcher:
    """What one process is sending, and its results that are not recorded yet."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sending: dict[int, UnderWay] = {}
        self._slow: set[int] = set()  # endpoints whose last attempt hung
        self._running: Counter[int] = Counter()  # by merchant
        self._results: deque[Result] = deque()
        self._recording: Sequence[Result] = ()
        self._to_flush = asyncio.Event()
        self._worked_at = -BUSY_FOR_S
        self._scanned_at = -POLL_S
        self._next_due_at: float | None = None  # monotonic: when the next waiting delivery is due
        self._turn = 0  # the merchant who had the last one
        self._turns: dict[int, int] = {}  # by merchant: the lane that had its last one
        self._passed_over: set[int] = set()  # lanes that have due rows for which there was no room
        self._away = False
        self._reserved = 0
        self._stopping = False
        self._ended = False  # nothing is being sent any more: what is left is recorded, then it is over

    async def run(self, stop: asyncio.Event) -> None:
        beside = [
            asyncio.create_task(self._every(self._engine.heartbeat_s, self._heartbeat), name="deliver: heartbeat"),
            asyncio.create_task(self._every(RECLAIM_S, self._reclaim), name="deliver: reclaim"),
            asyncio.create_task(self._every(WATCH_S, self._watch), name="deliver: watch the clock"),
            asyncio.create_task(self._ring_on(stop), name="deliver: stop"),
        ]
        recording = asyncio.create_task(self._flush_always(), name="deliver: record")
        try:
            await self._prepare()
            self._engine.dispatching = self
            metrics.in_flight_limit.set(self._engine.in_flight_max)
            while not stop.is_set():
                more = await self._round()
                if not more:
                    await self._rest()
            await self._finish()
        finally:
            self._stopping, self._engine.dispatching = True, None
            ending = [*beside, *(attempt.task for attempt in self._sending.values())]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            # Recording is not cancelled: what is on its way to the database was sent and must not be sent again.
            self._ended = True
            self._to_flush.set()
            await recording

    async def _prepare(self) -> None:
        """Make room in the attempt log and take back what this process's predecessor was sending."""
        engine = self._engine
        try:
            await engine.db.write(lambda tx: partitions.keep_ahead(tx, now=engine.clock.now()))
        except (DatabaseError, Busy) as trouble:
            log.warning("deliver.partitions_failed", error=repr(trouble))  # the planner makes them too
        while await self._reclaim(everything=engine.works_alone):
            pass

    # Claiming.

    async def _round(self) -> bool:
        """Claim and start what there is room for; tell whether there may be more at once."""
        free = self._free
        if free <= 0:
            return False
        hinted = self._engine.to_send.take_lanes()
        everywhere = time.monotonic() - self._scanned_at >= self._poll_s or self._due_by_now()
        if not hinted and not everywhere:
            return False
        try:
            return await self._claim(None if everywhere else hinted | self._passed_over, free)
        except (DatabaseError, Busy) as trouble:
            log.warning("deliver.claim_failed", error=str(trouble))
            await asyncio.sleep(TROUBLE_PAUSE_S)
            return False

    async def _claim(self, lanes: set[int] | None, free: int) -> bool:
        engine, began = self._engine, time.monotonic()
        look = engine.db.read if lanes is None else engine.db.lookup
        waiting = await look(lambda tx: queries.waiting(tx, lanes))
        now = self._now(waiting)
        self._look_ahead(waiting, now, began, everywhere=lanes is None)
        grants = rules.share_out(
            waiting,
            now=now,
            free=free,
            room_of=self._room_of(),
            room_default=engine.in_flight_per_merchant_max,
            after_merchant=self._turn,
            after_lanes=self._turns,
            hanging=self._hanging(),
        )
        self._take_turns(waiting, grants, now, everywhere=lanes is None)
        if not grants:
            return False
        asked = time.monotonic()
        jobs = await engine.db.write(lambda tx: self._claimed(tx, grants))
        reach("claim.committed")
        metrics.claim_s.observe(time.monotonic() - asked)
        metrics.claimed.observe(len(jobs))
        for job in jobs:
            self._start(job, claimed_at=began)
        if jobs:
            self._worked_at = time.monotonic()
            full = Counter(job.claimed.endpoint_id for job in jobs)
            engine.to_send.ring(g.endpoint_id for g in grants if full[g.endpoint_id] >= g.most)
        return bool(jobs)

    def _take_turns(
        self, waiting: Sequence[rules.Waiting], grants: Sequence[rules.Grant], now: Instant, *, everywhere: bool
    ) -> None:
        """Note who had a turn, and who did not: they are thought of when the next attempt ends."""
        if everywhere:
            self._turns = {lane.merchant_id: self._turns.get(lane.merchant_id, 0) for lane in waiting}
        for grant in grants:
            self._turn = grant.merchant_id
            self._turns[grant.merchant_id] = grant.endpoint_id
        ready = {lane.endpoint_id for lane in waiting if lane.next_at <= now}
        passed_over = ready.difference(grant.endpoint_id for grant in grants)
        self._passed_over = set(islice(passed_over, PASSED_OVER_MAX))

    def _now(self, waiting: Sequence[rules.Waiting]) -> Instant:
        """Return the time all workers agree on: what is due is due by that."""
        seen_at = waiting[0].seen_at if waiting and self._engine.trusts_database_clock else None
        return self._engine.clock.now() if seen_at is None else seen_at

    def _claimed(self, tx: Tx, grants: Sequence[rules.Grant]) -> list[Job]:
        """Claim, unless the clock was set: what it says is due may not be."""
        engine = self._engine
        now = engine.now(tx)
        if engine.watch.has_stepped(now):
            return []
        return queue.claim(tx, grants, worker=engine.worker, now=now, lease_s=engine.lease_s)

    def _look_ahead(self, waiting: Sequence[rules.Waiting], now: Instant, began: float, *, everywhere: bool) -> None:
        """Note when the next delivery is due, so that the loop wakes for it."""
        if everywhere:
            self._scanned_at, self._next_due_at = began, None
        coming = [began + (lane.next_at - now) / SECOND for lane in waiting if lane.next_at > now]
        if coming:
            known = self._next_due_at
            self._next_due_at = min(coming) if known is None else min(known, *coming)

    async def _rest(self) -> None:
        """Wait for a hint, the next due instant, or the poll interval."""
        until = self._scanned_at + self._poll_s
        if self._next_due_at is not None:
            until = min(until, self._next_due_at)
        await self._engine.to_send.wait(max(until - time.monotonic(), 0.001))

    @property
    def _free(self) -> int:
        """Return how many more attempts may be started now."""
        if self._away or self._stopping or len(self._results) >= RESULTS_MAX:
            return 0
        return min(self._engine.in_flight_max - len(self._sending) - self._reserved, CLAIM_ROWS_MAX)

    def _room_of(self) -> dict[int, int]:
        """Return how many more attempts each merchant that has some may have."""
        return {m: self._engine.in_flight_per_merchant_max - n for m, n in self._running.items()}

    def _hanging(self) -> rules.Hanging:
        under_way = [(attempt.endpoint_id, attempt.began) for attempt in self._sending.values()]
        return rules.hanging(under_way, slow=self._slow, now=time.monotonic(), slots=self._engine.in_flight_max)

    # What the planner of this process claims for us.

    def reserve(self) -> Slots | None:
        free = self._free
        if free <= 0:
            return None
        self._reserved += free
        engine = self._engine
        return Slots(
            engine.worker, free, self._room_of(), engine.in_flight_per_merchant_max, engine.lease_s, self._hanging()
        )

    def start(self, jobs: Sequence[Job], reserved: Slots, *, claimed_at: float) -> None:
        self._reserved -= reserved.most
        for job in jobs:
            self._start(job, claimed_at=claimed_at)
        if jobs:
            self._worked_at = time.monotonic()

    @property
    def _poll_s(self) -> float:
        return POLL_BUSY_S if time.monotonic() - self._worked_at < BUSY_FOR_S else POLL_S

    def _due_by_now(self) -> bool:
        return self._next_due_at is not None and time.monotonic() >= self._next_due_at

    # Sending.

    def _start(self, job: Job, *, claimed_at: float) -> None:
        self._running[job.claimed.owner.merchant_id] += 1
        metrics.in_flight.inc()
        task = asyncio.create_task(self._send(job, claimed_at))
        self._sending[job.claimed.id] = UnderWay(task, job.claimed.endpoint_id, time.monotonic())

    async def _send(self, job: Job, claimed_at: float) -> None:
        engine, claimed = self._engine, job.claimed
        try:
            left_s = engine.lease_s - (time.monotonic() - claimed_at)
            if left_s < sending.timeout_of(job, engine) + LEASE_SPARE_S:
                self._keep(sending.dropped(engine, job))
                return
            result = await sending.attempt(engine, job)
            hung = result.duration_us > rules.HANGING_S * SECOND
            (self._slow.add if hung else self._slow.discard)(claimed.endpoint_id)
            metrics.attempted(job, result)
            self._keep(result)
        except asyncio.CancelledError:
            self._keep(sending.dropped(engine, job))
            raise
        except Exception as fault:  # a bug of ours: the lease lapses, and a third loss uses up a step
            log.exception("deliver.attempt_failed", delivery=claimed.public_id, error=repr(fault))
        finally:
            metrics.in_flight.dec()
            self._sending.pop(claimed.id, None)
            self._running[claimed.owner.merchant_id] -= 1
            if self._running[claimed.owner.merchant_id] <= 0:
                del self._running[claimed.owner.merchant_id]

    def _keep(self, result: Result) -> None:
        self._results.append(result)
        self._to_flush.set()

    # Recording.

    async def _flush_always(self) -> None:
        """Record results as they come; in the end what is left, unless the database is away."""
        pause = TROUBLE_PAUSE_S
        while self._results or not self._ended:
            await self._to_flush.wait()
            self._to_flush.clear()
            if len(self._results) < COMPLETE_ROWS_MAX and not self._ended:
                await asyncio.sleep(FLUSH_S)
            while self._results:
                if await self._flush():
                    pause = TROUBLE_PAUSE_S
                elif self._ended:
                    return
                else:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, TROUBLE_PAUSE_MAX_S)

    async def _flush(self) -> bool:
        """Record the oldest results; False if the database is away, in which case they are kept."""
        batch = [self._results.popleft() for _ in range(min(len(self._results), COMPLETE_ROWS_MAX))]
        if not batch:
            return True
        self._recording = batch
        try:
            await self._record(batch)
        except (Unavailable, Busy) as trouble:
            self._results.extendleft(reversed(batch))
            self._away = True
            log.warning("deliver.record_failed", error=str(trouble), waiting=len(self._results))
            return False
        except Exception as fault:  # one result the schema refuses must not keep the others
            log.warning("deliver.batch_refused", error=repr(fault), results=len(batch))
            await self._record_singly(batch)
        self._recording = ()
        self._away = False
        self._engine.to_send.ring(result.endpoint_id for result in batch)
        return True

    async def _record(self, batch: Sequence[Result]) -> None:
        engine = self._engine
        began = time.monotonic()
        done = await engine.db.write(lambda tx: self._completed(tx, batch))
        reach("complete.committed")
        metrics.complete_s.observe(time.monotonic() - began)
        metrics.completed(batch, done)
        if done.fenced:
            log.warning("deliver.stale", deliveries=len(done.fenced))
        if done.dead:
            log.warning("deliver.dead", deliveries=done.dead)
        for endpoint_id in done.disabled:
            log.warning("deliver.endpoint_disabled", endpoint=endpoint_id)

    def _completed(self, tx: Tx, batch: Sequence[Result]) -> Completed:
        engine = self._engine
        return completion.complete(tx, batch, ids=engine.ids, chance=engine.chance, patience=engine.patience)

    async def _record_singly(self, batch: Sequence[Result]) -> None:
        """Record what can be recorded. What cannot is sent again when its lease has lapsed."""
        for result in batch:
            try:
                await self._record([result])
            except (Unavailable, Busy):  # that is nobody's fault: it is kept, and tried again
                self._results.append(result)
            except Exception as fault:  # whatever it is, it belongs to this result
                log.exception("deliver.result_refused", delivery=result.delivery_id, error=repr(fault))

    # Beside.

    async def _every(self, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except Exception:  # a bug of ours: it must not end what keeps leases, for as long as deliveries go out
                log.exception("deliver.task_failed", task=act.__name__)

    async def _heartbeat(self) -> None:
        engine = self._engine
        held = {*self._sending, *(result.delivery_id for result in (*self._results, *self._recording))}
        if not held:
            return
        try:
            await engine.db.write(lambda tx: self._extend(tx, held))
        except (DatabaseError, Busy) as trouble:
            log.warning("deliver.heartbeat_failed", error=str(trouble))

    def _extend(self, tx: Tx, held: Collection[int]) -> int:
        engine = self._engine
        extended = queue.heartbeat(tx, held, worker=engine.worker, now=engine.now(tx), lease_s=engine.lease_s)
        reach("heartbeat")
        return extended

    async def _reclaim(self, *, everything: bool = False) -> int:
        """Make due again what a worker did not report, and return how many deliveries that is, at most a batch.

        *everything* if no other process can be sending.
        """
        engine = self._engine

        def reclaim(tx: Tx) -> int:
            now = engine.now(tx)
            if engine.watch.has_stepped(now):
                return 0
            return queue.reclaim(tx, now=now, ids=engine.ids, chance=engine.chance, everything=everything)

        try:
            lost = await engine.db.write(reclaim)
        except (DatabaseError, Busy) as trouble:
            log.warning("deliver.reclaim_failed", error=str(trouble))
            return 0
        if lost:
            metrics.reclaimed.inc(lost)
            log.warning("deliver.reclaimed", deliveries=lost)
            self._scanned_at = -POLL_S
            engine.to_send.ring()
        return lost

    async def _watch(self) -> None:
        """Look whether the clock was set, and if so shift what waits."""
        engine = self._engine
        try:
            step = await engine.db.read(lambda tx: engine.watch.look(tx, engine.now(tx)))
            if step:
                step = await engine.db.write(lambda tx: clock_steps.repair(tx, step, engine.watch, engine.now(tx)))
        except (DatabaseError, Busy) as trouble:
            log.warning("deliver.watch_failed", error=str(trouble))
            return
        if step:
            metrics.clock_steps.inc()
            log.warning("deliver.clock_was_set", by_us=step)
            self._next_due_at, self._scanned_at = None, -POLL_S
            engine.to_send.ring()

    async def _ring_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._engine.to_send.ring()

    async def _finish(self) -> None:
        """Give what is under way time to end, and what the planner is just claiming for us."""
        self._stopping = True
        reach("shutdown")
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                while self._reserved or self._sending:
                    await self._engine.to_send.wait(FLUSH_S)
