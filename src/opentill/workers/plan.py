"""The planner loop: turns recorded events into deliveries, right after their commit (webhooks.md §3.2)."""

import asyncio
import time
from typing import Final

import structlog

from opentill.db import DatabaseError, Unavailable
from opentill.kernel.errors import Busy
from opentill.kernel.failpoints import reach
from opentill.webhooks import metrics, partitions, planning
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import Job
from opentill.webhooks.planning import Planned

log = structlog.get_logger("opentill.workers.plan")

POLL_S: Final = 1.0
POLL_BUSY_S: Final = 0.25
BUSY_FOR_S: Final = 10.0
EVENTS_BUSY: Final = 5  # in one plan
PAUSE_S: Final = 0.004  # between two plans that made deliveries, so that events share a transaction
PAUSE_BUSY_S: Final = 0.015  # the same when many come
EVENTS_CROWDED: Final = 15  # in one plan
PAUSE_CROWDED_S: Final = 0.03  # the same when very many come: statements are shared by twice as many
PAUSE_IDLE_S: Final = 0.02  # between two plans that found no destination: merchants without endpoints cost little
TROUBLE_PAUSE_S: Final = 0.5
FAILED_AGAIN_AFTER_S: Final = 60.0
PARTITIONS_EVERY_S: Final = 3600.0
PARTITIONS_AGAIN_S: Final = 60.0  # after it failed; there are days in hand, and planning goes on meanwhile


async def plan_loop(engine: Engine, stop: asyncio.Event) -> None:
    """Plan until *stop* is set. Any number of processes may run this; one of them has the turn at a time."""
    ringers = [
        asyncio.create_task(_ring_on_events(engine), name="plan: events recorded"),
        asyncio.create_task(_ring_on_stop(engine, stop), name="plan: stop"),
    ]
    try:
        await _Planner(engine).run(stop)
    finally:
        for ringer in ringers:
            ringer.cancel()
        await asyncio.gather(*ringers, return_exceptions=True)


async def _ring_on_events(engine: Engine) -> None:
    seen = engine.db.events_recorded.count
    while True:
        seen = await engine.db.events_recorded.wait_beyond(seen, timeout_s=3600)
        engine.to_plan.ring()


async def _ring_on_stop(engine: Engine, stop: asyncio.Event) -> None:
    await stop.wait()
    engine.to_plan.ring()


class _Planner:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._worked_at = -BUSY_FOR_S
        self._tidy_at = time.monotonic()
        self._retried_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self._tidy(began)
                planned = await self._plan()
            except (DatabaseError, Busy) as trouble:
                log.warning("plan.database_away", error=str(trouble))
                await asyncio.sleep(TROUBLE_PAUSE_S)
                continue
            if planned.was_full:
                continue
            if planned.seqs:
                await asyncio.sleep(max(0.0, began + _pause_after(planned) - time.monotonic()))
            busy = time.monotonic() - self._worked_at < BUSY_FOR_S
            await self._engine.to_plan.wait(POLL_BUSY_S if busy else POLL_S)

    async def _plan(self) -> Planned:
        engine = self._engine
        try:
            planned = await self._plan_batch()
        except (Unavailable, Busy):
            raise
        except Exception as fault:  # one event the schema refuses must not stop the others
            log.warning("plan.batch_failed", error=repr(fault))
            planned = await self._plan_singly()
        for event_id, fault_text in planned.faults.items():
            log.error("plan.event_failed", event=event_id, error=fault_text)
        metrics.events_planned(planned.types)
        for event_id, fault_text in planned.violations.items():
            log.error("plan.body_invalid", event=event_id, error=fault_text)
        if planned.lanes:
            engine.to_send.ring(planned.lanes)
        if planned.seqs:
            self._worked_at = time.monotonic()
        return planned

    async def _plan_batch(self) -> Planned:
        """Plan, and hand to the dispatcher of this process what it has room for."""
        engine, dispatching = self._engine, self._engine.dispatching
        slots = None if dispatching is None else dispatching.reserve()
        began, now = time.monotonic(), engine.clock.now()
        jobs: tuple[Job, ...] = ()
        try:
            planned = await engine.db.write(
                lambda tx: planning.plan(
                    tx,
                    ids=engine.ids,
                    keyring=engine.keyring,
                    now=now,
                    slots=slots,
                    trusts_database_clock=engine.trusts_database_clock,
                    validates=engine.validates_bodies,
                )
            )
            if planned.seqs:
                reach("plan.committed")
            metrics.plan_s.observe(time.monotonic() - began)
            jobs = planned.jobs
            return planned
        finally:
            if dispatching is not None and slots is not None:
                dispatching.start(jobs, slots, claimed_at=began)

    async def _plan_singly(self) -> Planned:
        """Plan the next event alone, after those that nobody can hear are passed over.

        If even that fails, it is marked and the others go on.
        """
        engine = self._engine
        try:
            return await engine.db.write(
                lambda tx: planning.plan(tx, ids=engine.ids, keyring=engine.keyring, now=engine.now(tx), events_max=1)
            )
        except (Unavailable, Busy):
            raise
        except Exception as fault:  # whatever it is, it belongs to this event
            text = repr(fault)
            return await engine.db.write(lambda tx: planning.give_up(tx, text))

    async def _tidy(self, now_s: float) -> None:
        """Make the attempt log's coming days, and try again what could not be planned."""
        engine = self._engine
        if now_s >= self._tidy_at:
            self._tidy_at = now_s + PARTITIONS_AGAIN_S
            await engine.db.write(lambda tx: partitions.keep_ahead(tx, now=engine.clock.now()))
            self._tidy_at = now_s + PARTITIONS_EVERY_S
        if now_s - self._retried_at >= FAILED_AGAIN_AFTER_S:
            await engine.db.write(planning.replan)
            self._retried_at = now_s


def _pause_after(planned: Planned) -> float:
    """Return the least time from the start of a plan to the next: the more there is, the more shares a transaction."""
    if not planned.deliveries:
        return PAUSE_IDLE_S
    if len(planned.seqs) >= EVENTS_CROWDED:
        return PAUSE_CROWDED_S
    return PAUSE_BUSY_S if len(planned.seqs) >= EVENTS_BUSY else PAUSE_S
