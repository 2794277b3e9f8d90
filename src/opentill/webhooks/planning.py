"""Turning events into deliveries (webhooks.md §3.2).

The unplanned event row is the queue entry: a crash between an event and its plan loses nothing, and planning twice
plans nothing twice. What can go wrong with one event goes wrong in pure code, before anything is written for it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentill.db import Tx
from opentill.events import Audience, document_of
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.webhooks import schema
from opentill.webhooks.bodies import render
from opentill.webhooks.direct import Picker, Slots
from opentill.webhooks.letters import post_letters
from opentill.webhooks.model import Claimed, DeliveryState, Endpoint, Job, Klass, Origin, RecordedEvent
from opentill.webhooks.queue import jobs_of
from opentill.webhooks.routing import Destination, destinations
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import outbox
from opentill.webhooks.store.outbox import NewDelivery

BATCH_EVENTS_MAX: Final = 200
PASSED_OVER_MAX: Final = 1_000  # looked at in one transaction; those that nobody hears cost little

PLANNED: Final = 1
FAILED: Final = 2


@dataclass(frozen=True, slots=True)
class Planned:
    """What a planning transaction did. *lanes* have something due, *jobs* are claimed for this process already."""

    seqs: tuple[int, ...] = ()
    deliveries: int = 0
    lanes: frozenset[int] = frozenset()
    jobs: tuple[Job, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)  # by event id
    violations: Mapping[str, str] = field(default_factory=dict)  # of schemas, by event id; sent all the same
    types: tuple[str, ...] = ()

    @property
    def was_full(self) -> bool:
        return len(self.seqs) >= BATCH_EVENTS_MAX


@dataclass(slots=True)
class _Batch:
    """Everything to write for a batch of events, gathered before the first write."""

    events: Sequence[RecordedEvent]
    endpoints: dict[int, Endpoint] = field(default_factory=dict)
    planned: dict[int, list[Destination]] = field(default_factory=dict)  # by event
    bodies: dict[tuple[int, str], bytes] = field(default_factory=dict)  # by event and variant
    faults: dict[int, str] = field(default_factory=dict)  # by event
    violations: dict[str, str] = field(default_factory=dict)  # by event id

    def pairs(self) -> Iterator[tuple[RecordedEvent, Destination]]:
        return ((event, to) for event in self.events for to in self.planned.get(event.seq, ()))


def plan(
    tx: Tx,
    *,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    events_max: int = BATCH_EVENTS_MAX,
    slots: Slots | None = None,
    trusts_database_clock: bool = False,
    validates: bool = False,
) -> Planned:
    """Plan the oldest unplanned events, and post the letters of those that are notices.

    Before them, and besides *events_max*, those that nobody can hear are passed over: they count as planned. One
    planner at a time: while another has the turn, nothing is done.

    With *slots* some of the new deliveries are claimed at once and returned as jobs. Where it *validates*, every body
    is held against its schema.
    """
    turn = outbox.take_turn(tx)
    if not turn.mine:
        return Planned()
    passed_over, (events, stored) = tx.together(
        lambda tx: outbox.pass_over(tx, PASSED_OVER_MAX), lambda tx: outbox.unplanned(tx, events_max)
    )
    seqs = (*(row["seq"] for row in passed_over), *(event.seq for event in events))
    types = (*(row["type"] for row in passed_over), *(event.type for event in events))
    if not events:
        return Planned(seqs, types=types)
    reach("plan.locked")
    if trusts_database_clock and turn.now is not None:
        now = turn.now
    batch = _prepare(tx, events, stored)
    reach("plan.rendered")
    if validates:
        batch.violations = _violations(batch)
    waiting, jobs = _write(tx, batch, ids=ids, now=now, slots=slots) if batch.planned else ([], [])
    notices = [e for e in events if e.audience is Audience.OPERATIONAL and e.seq not in batch.faults]
    if notices:
        post_letters(tx, [(e, document_of(stored[e.seq])) for e in notices], ids=ids, keyring=keyring, now=now)
    outbox.mark(tx, (e.seq for e in events if e.seq not in batch.faults), PLANNED)
    if batch.faults:
        outbox.mark(tx, batch.faults, FAILED)
    return Planned(
        seqs=seqs,
        deliveries=len(waiting) + len(jobs),
        lanes=frozenset(delivery.endpoint_id for delivery in waiting),
        jobs=tuple(jobs),
        faults={event.id: batch.faults[event.seq] for event in events if event.seq in batch.faults},
        violations=batch.violations,
        types=types,
    )


def replan(tx: Tx) -> int:
    """Let the planner try again what it could not plan; return how many events that is."""
    reopened = outbox.reopen_failed(tx)
    if reopened:
        tx.note_event()
    return reopened


def give_up(tx: Tx, fault: str) -> Planned:
    """Mark the oldest event that somebody can hear as one that cannot be planned, so that the others go on."""
    if not outbox.take_turn(tx).mine:
        return Planned()
    outbox.pass_over(tx, PASSED_OVER_MAX)  # as `plan` did, before it met what failed and undid that too
    events, _ = outbox.unplanned(tx, 1)
    outbox.mark(tx, (event.seq for event in events), FAILED)
    return Planned(seqs=tuple(e.seq for e in events), faults={e.id: fault for e in events})


def _prepare(tx: Tx, events: Sequence[RecordedEvent], stored: Mapping[int, bytes]) -> _Batch:
    """Decide where each event goes and write its bodies. What fails here fails for one event alone."""
    batch = _Batch(events)
    of_owner: dict[Owner, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoint_store.of_merchants(tx, {event.owner.merchant_id for event in events}):
        batch.endpoints[endpoint.id] = endpoint
        of_owner[endpoint.owner].append(endpoint)

    for event in events:
        try:
            found = destinations(_opened(event, of_owner[event.owner], stored), of_owner[event.owner])
        except Exception as fault:  # whatever it is, it belongs to this event and must not keep the others
            batch.faults[event.seq] = repr(fault)
        else:
            if found:
                batch.planned[event.seq] = found

    for event in events:
        if event.seq in batch.planned:
            _render(batch, event, stored[event.seq])
    return batch


def _opened(event: RecordedEvent, endpoints: Sequence[Endpoint], stored: Mapping[int, bytes]) -> RecordedEvent:
    """Return an event with its document where routing may look into it: for a condition, or as it is operational."""
    if event.audience is not Audience.OPERATIONAL and not any(endpoint.options.conditions for endpoint in endpoints):
        return event
    return event._replace(document=document_of(stored[event.seq]))


def _render(batch: _Batch, event: RecordedEvent, doc: bytes) -> None:
    """Add the bodies of an event to the batch, or its fault."""
    try:
        complete = event._replace(document=document_of(doc))
        variants = dict.fromkeys(destination.variant for destination in batch.planned[event.seq])
        bodies = {(event.seq, variant): render(complete, variant) for variant in variants}
    except Exception as fault:  # whatever it is, it belongs to this event and must not keep the others
        batch.faults[event.seq] = str(fault) or repr(fault)
        del batch.planned[event.seq]
        return
    batch.bodies.update(bodies)


def _violations(batch: _Batch) -> dict[str, str]:
    """Return what schemas object to in the bodies of a batch, by event id."""
    found = {}
    for event, to in batch.pairs():
        faults = schema.faults_in(batch.bodies[event.seq, to.variant], to.variant, to.wire_type)
        if faults:
            found[event.id] = f"{to.variant} {to.wire_type}: {'; '.join(faults)}"
    return found


def payload_row(event_seq: int, variant: str, body: bytes) -> dict[str, Any]:
    return {
        "event_seq": event_seq,
        "variant": variant,
        "body": body,
        "coding": 0,
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def _write(
    tx: Tx, batch: _Batch, *, ids: Ids, now: Instant, slots: Slots | None
) -> tuple[list[NewDelivery], list[Job]]:
    """Write payloads and deliveries; return what is due, and what is claimed for this process already."""
    origins = _origins(tx, batch, ids=ids, now=now)
    concerned = {to.endpoint_id for _, to in batch.pairs() if to.endpoint_id is not None}
    picker = Picker(tx, (batch.endpoints[endpoint_id] for endpoint_id in concerned), slots, now=now)
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for event, to in batch.pairs():
        endpoint_id = to.endpoint_id if to.endpoint_id is not None else origins[event.owner, str(to.origin)]
        row = _delivery_row(event, to, endpoint_id, public_id=f"dlv_{ids.timed_hex()}", now=now)
        if picker.takes(event, to):
            row |= _claimed(picker, now)
        rows[event.seq, endpoint_id] = row

    outbox.insert_payloads(tx, [payload_row(seq, variant, body) for (seq, variant), body in batch.bodies.items()])
    made = outbox.insert_deliveries(tx, list(rows.values()))
    sending = [d for d in made if rows[d.event_seq, d.endpoint_id]["state"] == DeliveryState.SENDING]
    due = [d for d in made if rows[d.event_seq, d.endpoint_id]["state"] == DeliveryState.DUE]
    return due, _jobs(tx, batch, sending, rows, now=now)


def _origins(tx: Tx, batch: _Batch, *, ids: Ids, now: Instant) -> dict[tuple[Owner, str], int]:
    """Return the endpoint ids of the callback origins of a batch; those seen for the first time are made."""
    wanted = {(event.owner, to.origin) for event, to in batch.pairs() if to.origin is not None}
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
    event: RecordedEvent, to: Destination, endpoint_id: int, *, public_id: str, now: Instant
) -> dict[str, Any]:
    return {
        "public_id": public_id,
        "event_seq": event.seq,
        "endpoint_id": endpoint_id,
        "wire_type": to.wire_type,
        "variant": to.variant,
        "object_key": event.object_key,
        "target_url": to.target_url,
        "target_format": None if to.target_format is None else int(to.target_format),
        "origin": int(Origin.EVENT),
        "klass": int(Klass.FIRST_TRY),
        "state": int(DeliveryState.HELD if to.held else DeliveryState.DUE),
        "ordering": int(to.ordering),
        "created_at": now,
        "claim_gen": 0,
        "lease_owner": None,
        "lease_until": None,
    }


def _claimed(picker: Picker, now: Instant) -> dict[str, Any]:
    return {
        "state": int(DeliveryState.SENDING),
        "claim_gen": 1,
        "lease_owner": picker.worker,
        "lease_until": after(now, picker.lease_s * SECOND),
    }


def _jobs(
    tx: Tx,
    batch: _Batch,
    sending: Sequence[NewDelivery],
    rows: Mapping[tuple[int, int], Mapping[str, Any]],
    *,
    now: Instant,
) -> list[Job]:
    """Return what is claimed already, ready to send, without reading back what was just written."""
    if not sending:
        return []
    events = {event.seq: event for event in batch.events}
    claimed = []
    for delivery in sending:
        row, event = rows[delivery.event_seq, delivery.endpoint_id], events[delivery.event_seq]
        claimed.append(
            Claimed(
                id=delivery.id,
                public_id=row["public_id"],
                endpoint_id=delivery.endpoint_id,
                owner=event.owner,
                event_seq=event.seq,
                event_id=event.id,
                wire_type=row["wire_type"],
                variant=row["variant"],
                body=batch.bodies[event.seq, row["variant"]],
                target_url=None,
                target_format=None,
                origin=Origin.EVENT,
                klass=Klass.FIRST_TRY,
                attempts=0,
                attempts_max=None,
                claim_gen=1,
                lost=0,
                recorded_at=event.occurred_at,
            )
        )
    signing = endpoint_store.secrets_of(tx, {c.endpoint_id for c in claimed}, now=now)
    return jobs_of(tx, claimed, batch.endpoints, signing, now=now)
