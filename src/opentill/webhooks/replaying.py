"""Jobs over many deliveries, a step at a time: replays, and what becomes of missed ones (webhooks.md §5.7, §5.8).

A step is one transaction that moves rows and the job's own place together, so that a job goes on after any death and
touches each event once. Jobs that send keep their pace; any worker may take the next step.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from opentill.db import Tx
from opentill.events import Audience
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.webhooks.bodies import render, variant_for
from opentill.webhooks.model import (
    IN_SERVICE,
    DeliveryState,
    Endpoint,
    EndpointState,
    Klass,
    Ordering,
    Origin,
    RecordedEvent,
    Recover,
)
from opentill.webhooks.planning import payload_row
from opentill.webhooks.routing import wants
from opentill.webhooks.store import deliveries, outbox
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import replays as store
from opentill.webhooks.store.deliveries import Made
from opentill.webhooks.store.replays import Replay, ReplayState

MISSING: Final = "missing"
ALL: Final = "all"
MATCHING: Final = "matching"

SCANNED_MAX: Final = 500  # events looked at in a step
STRETCH: Final = 5_000  # deliveries of an endpoint looked through in a step, however few are wanted
STEPS_PER_S: Final = 4  # of a job at its full pace
OUT_OF_SERVICE_PAUSE: Final = 5 * SECOND

log = structlog.get_logger("opentill.webhooks")


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step did: whose lane has more to send, and how many rows it queued."""

    endpoint_id: int
    queued: int


@dataclass(frozen=True, slots=True)
class _Moved:
    """How far a step came."""

    cursor: int
    queued: int
    skipped: int
    is_done: bool


def step(tx: Tx, *, now: Instant, ids: Ids) -> Stepped | None:
    """Take the next step of the job that waits longest; None if none is due."""
    replay = store.take_due(tx, now=now)
    if replay is None:
        return None
    endpoint = endpoint_store.get(tx, replay.endpoint_id)
    if endpoint is None or (endpoint.state is EndpointState.DELETED) != (replay.kind == store.CANCEL):
        store.finish(tx, replay.id, ReplayState.CANCELLED, now=now)
        return Stepped(replay.endpoint_id, 0)
    if replay.kind != store.CANCEL and endpoint.state not in IN_SERVICE:
        later = after(now, OUT_OF_SERVICE_PAUSE)
        store.advance(tx, replay.id, cursor=replay.cursor, queued=0, skipped=0, next_at=later)
        return Stepped(endpoint.id, 0)

    moved = _WAYS[replay.kind](tx, replay, endpoint, now, ids)
    reach("activate.batch" if replay.kind == store.ACTIVATE else "replay.batch")
    next_at = after(now, moved.queued * SECOND // replay.rate_per_s)
    store.advance(tx, replay.id, cursor=moved.cursor, queued=moved.queued, skipped=moved.skipped, next_at=next_at)
    if moved.is_done:
        store.finish(tx, replay.id, ReplayState.DONE, now=now)
        if replay.kind == store.ACTIVATE:
            _activated(tx, endpoint, now)
    return Stepped(endpoint.id, moved.queued)


def _activated(tx: Tx, endpoint: Endpoint, now: Instant) -> None:
    """Have an endpoint in service whose missed rows are decided about, unless its owner changed that meanwhile."""
    activating = [EndpointState.ACTIVATING]
    endpoint_store.set_state(tx, endpoint.id, EndpointState.ACTIVE, reason=None, now=now, among_states=activating)


def _pace(replay: Replay) -> int:
    """Return how many rows a step may queue."""
    return max(1, replay.rate_per_s // STEPS_PER_S)


# Events: those an endpoint did not get, or all of them.


def _replay_events(tx: Tx, replay: Replay, endpoint: Endpoint, now: Instant, ids: Ids) -> _Moved:
    events = outbox.of_owner(
        tx,
        endpoint.owner,
        endpoint.audience,
        after_seq=replay.cursor,
        until_seq=replay.until,
        since=replay.since or Instant(0),
        limit=SCANNED_MAX,
    )
    if endpoint.options.conditions or endpoint.audience is Audience.OPERATIONAL:  # routing looks into the documents
        events = outbox.opened(tx, events)
    made: dict[int, list[Made]] = defaultdict(list)
    for delivery in deliveries.of_events(tx, endpoint.id, (event.seq for event in events)):
        made[delivery.event_seq].append(delivery)

    reopened: list[int] = []
    planned: list[RecordedEvent] = []
    cursor, seen = replay.cursor, 0
    for event in events:
        if len(reopened) + len(planned) >= _pace(replay):
            break
        cursor, seen = event.seq, seen + 1
        old = _to_reopen(made[event.seq])
        if old is not None:
            reopened.append(old)
        elif _is_missing(made[event.seq], everything=replay.kind == ALL) and wants(endpoint, event):
            planned.append(event)
    queued = deliveries.reopen(tx, reopened) if reopened else 0
    queued += _plan(tx, endpoint, outbox.opened(tx, planned), ids=ids, now=now) if planned else 0
    is_done = seen == len(events) < SCANNED_MAX
    return _Moved(cursor, queued, seen - queued, is_done)


def _to_reopen(made: Sequence[Made]) -> int | None:
    """Return the delivery of an event that goes out after all: the newest held or dead one, if none was delivered."""
    if any(one.was_delivered or one.state in (DeliveryState.DUE, DeliveryState.SENDING) for one in made):
        return None
    waiting = [one.id for one in made if one.state in (DeliveryState.HELD, DeliveryState.DEAD)]
    return waiting[-1] if waiting else None


def _is_missing(made: Sequence[Made], *, everything: bool) -> bool:
    """Tell whether an event needs another delivery; one that was delivered does only where *everything* is sent."""
    if any(one.state in (DeliveryState.DUE, DeliveryState.SENDING) for one in made):
        return False
    return everything or not made


def _plan(tx: Tx, endpoint: Endpoint, events: Sequence[RecordedEvent], *, ids: Ids, now: Instant) -> int:
    """Insert deliveries of events; what cannot be written is left out, as the planner would."""
    variant = variant_for(endpoint)
    bodies: dict[int, bytes] = {}
    for event in events:
        try:
            bodies[event.seq] = render(event, variant)
        except Exception as fault:  # whatever it is, it belongs to this event and must not stop every job
            log.warning("replay.event_left_out", event=event.id, error=repr(fault))
    outbox.insert_payloads(tx, [payload_row(seq, variant, body) for seq, body in bodies.items()])
    written = [event for event in events if event.seq in bodies]
    made = outbox.insert_deliveries(tx, [_row(event, endpoint, variant, ids=ids, now=now) for event in written])
    return len(made)


def _row(event: RecordedEvent, endpoint: Endpoint, variant: str, *, ids: Ids, now: Instant) -> dict[str, object]:
    return {
        "public_id": f"dlv_{ids.timed_hex()}",
        "event_seq": event.seq,
        "endpoint_id": endpoint.id,
        "wire_type": str(event.name_in(endpoint.dialect)),
        "variant": variant,
        "object_key": event.object_key,
        "target_url": None,
        "target_format": None,
        "origin": int(Origin.REPLAY),
        "klass": int(Klass.BULK),
        "state": int(DeliveryState.DUE),
        "ordering": int(Ordering.NONE),
        "created_at": now,
        "claim_gen": 0,
        "lease_owner": None,
        "lease_until": None,
    }


# Deliveries: those a filter shows, those missed while out of service, those of a deleted endpoint.


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The deliveries a step looks through: up to an id, which may be the end of the job."""

    end: int
    is_last: bool

    def moved(self, found: Sequence[int], queued: int, *, most: int) -> _Moved:
        """Return how far a step came that wanted at most so many, and found these."""
        if len(found) == most:
            return _Moved(found[-1], queued, most - queued, is_done=False)
        return _Moved(self.end, queued, len(found) - queued, is_done=self.is_last)


def _stretch(tx: Tx, replay: Replay) -> _Stretch:
    end = deliveries.stretch_end(tx, replay.endpoint_id, after_id=replay.cursor, until_id=replay.until, rows=STRETCH)
    return _Stretch(replay.until, is_last=True) if end is None else _Stretch(end, is_last=False)


def _resend_matching(tx: Tx, replay: Replay, endpoint: Endpoint, now: Instant, ids: Ids) -> _Moved:
    most = _pace(replay)
    stretch = _stretch(tx, replay)
    found = deliveries.matching(
        tx,
        endpoint.id,
        states=replay.selection["states"],
        event_name=replay.selection["event"],
        after_id=replay.cursor,
        until_id=stretch.end,
        most=most,
    )
    newest = {event_seq: delivery_id for delivery_id, event_seq in found}  # one of an event may be under way at a time
    queued = deliveries.resend_in_bulk(tx, newest.values()) if found else 0
    return stretch.moved([delivery_id for delivery_id, _ in found], queued, most=most)


def _activate(tx: Tx, replay: Replay, endpoint: Endpoint, now: Instant, ids: Ids) -> _Moved:
    most = store.UNHURRIED_ROWS
    recover, since = Recover(replay.selection["recover"]), replay.since
    stretch = _stretch(tx, replay)
    missed = deliveries.missed(tx, endpoint.id, after_id=replay.cursor, until_id=stretch.end, most=most)
    wanted = [
        one
        for one in missed
        if recover is Recover.ALL or (recover is Recover.SINCE and since is not None and one.occurred_at >= since)
    ]
    unwanted = {one.id for one in missed} - {one.id for one in wanted}
    held = {one.event_seq: one.id for one in wanted if one.state is DeliveryState.HELD}
    queued = deliveries.reopen(tx, held.values()) if held else 0
    if unwanted:
        deliveries.set_aside_these(tx, unwanted)
    return stretch.moved([one.id for one in missed], queued, most=most)


def _cancel(tx: Tx, replay: Replay, endpoint: Endpoint, now: Instant, ids: Ids) -> _Moved:
    cancelled = deliveries.cancel(tx, endpoint.id, now=now, most=store.UNHURRIED_ROWS)
    return _Moved(0, cancelled, 0, cancelled < store.UNHURRIED_ROWS)


_WAYS: Final[Mapping[str, Callable[[Tx, Replay, Endpoint, Instant, Ids], _Moved]]] = {
    MISSING: _replay_events,
    ALL: _replay_events,
    MATCHING: _resend_matching,
    store.ACTIVATE: _activate,
    store.CANCEL: _cancel,
}
