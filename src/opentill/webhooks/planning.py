"""Turning events into deliveries (webhooks.md §3.2).

The unplanned event row is the queue entry: a crash between an event and its plan loses nothing, and planning twice
plans nothing twice. What can go wrong with one event goes wrong in pure code, before anything is written for it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from opentill.db import Tx
from opentill.events import document_of
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.webhooks.bodies import render
from opentill.webhooks.model import DeliveryState, Endpoint, Happening
from opentill.webhooks.routing import Destination, destinations
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import outbox

BATCH_EVENTS_MAX: Final = 200

PLANNED: Final = 1
FAILED: Final = 2


@dataclass(frozen=True, slots=True)
class Planned:
    """What a planning transaction did. *lanes* have something due now; *faults* are events it could not plan."""

    seqs: tuple[int, ...] = ()
    deliveries: int = 0
    lanes: frozenset[int] = frozenset()
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def was_full(self) -> bool:
        return len(self.seqs) >= BATCH_EVENTS_MAX


@dataclass(slots=True)
class _Batch:
    """Everything to write for a batch of events, gathered before the first write."""

    planned: dict[int, list[Destination]] = field(default_factory=dict)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)


def plan(tx: Tx, *, ids: Ids, now: Instant, events_max: int = BATCH_EVENTS_MAX) -> Planned:
    """Plan the oldest unplanned events. One planner at a time: while another has the turn, nothing is done."""
    if not outbox.take_turn(tx):
        return Planned()
    events = outbox.unplanned(tx, events_max)
    if not events:
        return Planned()
    batch = _prepare(tx, events)
    made: list[outbox.NewDelivery] = []
    if batch.planned:
        made = _write(tx, events, batch, ids=ids, now=now)
    outbox.mark(tx, (e.seq for e in events if e.seq not in batch.faults), PLANNED)
    if batch.faults:
        outbox.mark(tx, batch.faults, FAILED)
    return Planned(
        seqs=tuple(event.seq for event in events),
        deliveries=len(made),
        lanes=frozenset(delivery.endpoint_id for delivery in made),
        faults={event.id: batch.faults[event.seq] for event in events if event.seq in batch.faults},
    )


def replan(tx: Tx) -> int:
    """Let the planner try again what it could not plan; return how many events that is."""
    reopened = outbox.reopen_failed(tx)
    if reopened:
        tx.note_event()
    return reopened


def give_up(tx: Tx, fault: str) -> Planned:
    """Mark the oldest unplanned event as one that cannot be planned, so that the others go on."""
    if not outbox.take_turn(tx):
        return Planned()
    events = outbox.unplanned(tx, 1)
    outbox.mark(tx, (event.seq for event in events), FAILED)
    return Planned(seqs=tuple(e.seq for e in events), faults={e.id: fault for e in events})


def _prepare(tx: Tx, events: Sequence[Happening]) -> _Batch:
    batch = _Batch()
    endpoints: dict[Owner, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoint_store.of_merchants(tx, {event.owner.merchant_id for event in events}):
        endpoints[endpoint.owner].append(endpoint)

    for event in events:
        try:
            found = destinations(event, endpoints[event.owner])
        except Exception as fault:  # whatever it is, it belongs to this event and must not keep the others
            batch.faults[event.seq] = repr(fault)
        else:
            if found:
                batch.planned[event.seq] = found

    stored = outbox.documents(tx, batch.planned) if batch.planned else {}
    for event in events:
        if event.seq in batch.planned:
            _render(batch, event, stored[event.seq])
    return batch


def _render(batch: _Batch, event: Happening, doc: bytes) -> None:
    """Add the payloads of an event to the batch, or its fault."""
    try:
        complete = replace(event, document=document_of(doc))
        variants = dict.fromkeys(destination.variant for destination in batch.planned[event.seq])
        bodies = {variant: render(complete, variant) for variant in variants}
    except Exception as fault:  # whatever it is, it belongs to this event and must not keep the others
        batch.faults[event.seq] = str(fault) or repr(fault)
        del batch.planned[event.seq]
        return
    for variant, body in bodies.items():
        batch.payloads.append(payload_row(event.seq, variant, body))


def payload_row(event_seq: int, variant: str, body: bytes) -> dict[str, Any]:
    return {
        "event_seq": event_seq,
        "variant": variant,
        "body": body,
        "coding": 0,
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def _write(tx: Tx, events: Sequence[Happening], batch: _Batch, *, ids: Ids, now: Instant) -> list[outbox.NewDelivery]:
    origins = _origins(tx, events, batch, ids=ids, now=now)
    outbox.insert_payloads(tx, batch.payloads)
    return outbox.insert_deliveries(
        tx,
        [
            _delivery_row(event, destination, origins, ids=ids, now=now)
            for event in events
            for destination in batch.planned.get(event.seq, ())
        ],
    )


def _origins(
    tx: Tx, events: Sequence[Happening], batch: _Batch, *, ids: Ids, now: Instant
) -> dict[tuple[Owner, str], int]:
    """Return the endpoint ids of the callback origins of a batch; those seen for the first time are made."""
    wanted = {
        (event.owner, destination.origin)
        for event in events
        for destination in batch.planned.get(event.seq, ())
        if destination.origin is not None
    }
    if not wanted:
        return {}
    known = endpoint_store.origins(tx, wanted)
    missing = sorted(wanted - known.keys())
    if missing:
        new = [(owner, f"wh_{ids.hex(12)}", url) for owner, url in missing]
        endpoint_store.insert_origins(tx, new, now=now)
        known = endpoint_store.origins(tx, wanted)
    return known


def _delivery_row(
    event: Happening,
    destination: Destination,
    origins: Mapping[tuple[Owner, str], int],
    *,
    ids: Ids,
    now: Instant,
) -> dict[str, Any]:
    endpoint_id = destination.endpoint_id
    if endpoint_id is None:
        endpoint_id = origins[event.owner, str(destination.origin)]
    return {
        "public_id": f"dlv_{ids.timed_hex()}",
        "event_seq": event.seq,
        "endpoint_id": endpoint_id,
        "wire_type": destination.wire_type,
        "variant": destination.variant,
        "object_key": event.object_key,
        "target_url": destination.target_url,
        "target_format": None if destination.target_format is None else int(destination.target_format),
        "state": int(DeliveryState.HELD if destination.held else DeliveryState.DUE),
        "ordering": int(destination.ordering),
        "created_at": now,
    }
