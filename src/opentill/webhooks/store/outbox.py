"""Rows the planner reads and writes: events, payloads, new deliveries."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import among, insert, insert_returning, numbers
from opentill.db.dialect import shared_clock
from opentill.events import Audience, document_of
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks.model import RecordedEvent, SignatureFormat
from opentill.webhooks.store.endpoints import HEARS

PLANNER_TURN: Final = 7_301_001  # the advisory lock of the one planner of an installation

HEAD: Final = """e.seq, e.id, e.merchant_id, e.mode, e.audience, e.type, e.merchant_type, e.pix_type, e.object_type,
               e.object_id, e.occurred_at, e.routing"""

PAYLOAD_COLUMNS: Final = {
    "event_seq": "bigint",
    "variant": "text",
    "body": "bytea",
    "coding": "bigint",
    "sha256": "text",
}
DELIVERY_COLUMNS: Final = {
    "public_id": "text",
    "event_seq": "bigint",
    "endpoint_id": "bigint",
    "wire_type": "text",
    "variant": "text",
    "object_key": "text",
    "target_url": "text",
    "target_format": "bigint",
    "origin": "bigint",
    "klass": "bigint",
    "state": "bigint",
    "ordering": "bigint",
    "created_at": "bigint",
    "claim_gen": "bigint",
    "lease_owner": "text",
    "lease_until": "bigint",
}


class NewDelivery(NamedTuple):
    """The id of an inserted delivery."""

    id: int
    event_seq: int
    endpoint_id: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether this transaction is the planner, and what the database's clock says; None on SQLite."""

    mine: bool
    now: Instant | None = None


def take_turn(tx: Tx) -> Turn:
    """Become the planner until the commit, unless somebody else is. SQLite has one writer anyway."""
    if tx.dialect != "postgres":
        return Turn(mine=True)
    row = tx.one_or_none(
        f"select pg_try_advisory_xact_lock(:turn) as mine, {shared_clock(tx)} as now",
        turn=PLANNER_TURN,
    )
    return Turn(mine=False) if row is None else Turn(bool(row["mine"]), Instant(row["now"]))


def await_planner(tx: Tx) -> None:
    """Have the planner finish its transaction, and begin none before our commit. It goes by states it has read.

    Before any row is locked: the planner may be waiting for it.
    """
    if tx.dialect == "postgres":
        tx.all("select pg_advisory_xact_lock(:turn)", turn=PLANNER_TURN)


def pass_over(tx: Tx, limit: int) -> list[Row]:
    """Mark those of the oldest events to plan that nobody can hear; return their numbers and types.

    Their merchants have no endpoint in the mode, they name no callback address, and they are no notices. Nothing else
    of them is read: where merchants have no endpoints, these are all events there are.
    """
    # An array, because PostgreSQL takes a join with what is picked for one with much of the table, and reads it whole.
    among_picked = "= any(array({}))" if tx.dialect == "postgres" else "in ({})"
    picked = "select seq from oldest where (merchant_id, mode) not in (select merchant_id, mode from heard)"
    found = tx.all(
        f"""
        with oldest as (
          select seq, merchant_id, mode from event where plan_state <> 1 and plan_state = 0 order by seq limit :limit
        ), heard as (
          select e.merchant_id, e.mode from webhook_endpoint e
           where e.merchant_id in (select merchant_id from oldest) and {HEARS}
        )
        update event set plan_state = 1
         where seq {among_picked.format(picked)} and plan_state = 0 and audience <> 1 and routing = '{{}}'
        returning seq, type
        """,
        limit=limit,
    )
    return list(found)


def unplanned(tx: ReadTx, limit: int) -> tuple[list[RecordedEvent], dict[int, bytes]]:
    """Return the oldest events to plan, and by number their documents as stored, not opened."""
    found = tx.all(
        f"""
        select {HEAD}, e.doc from event e
         where e.plan_state <> 1 and e.plan_state = 0
         order by e.seq
         limit :limit
        """,
        limit=limit,
    )
    return [as_event(row) for row in found], {int(row["seq"]): bytes(row["doc"]) for row in found}


def of_owner(
    tx: ReadTx, owner: Owner, audience: Audience, *, after_seq: int, until_seq: int, since: Instant, limit: int
) -> list[RecordedEvent]:
    """Return an owner's planned events for an audience in their order, their documents not opened."""
    found = tx.all(
        f"""
        select {HEAD} from event e
         where e.merchant_id = :merchant_id and e.mode = :mode and e.seq > :after and e.seq <= :until
           and e.audience = :audience and e.plan_state = 1 and e.occurred_at >= :since
         order by e.seq limit :limit
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        audience=int(audience),
        after=after_seq,
        until=until_seq,
        since=since,
        limit=limit,
    )
    return [as_event(row) for row in found]


def opened(tx: ReadTx, events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """Return events with their documents, in their order."""
    found = tx.all(
        f"select {HEAD}, e.doc from event e where e.seq {among(tx, 'seqs')} order by e.seq",
        seqs=numbers(tx, (event.seq for event in events)),
    )
    return [as_event(row, document_of(bytes(row["doc"]))) for row in found]


def count_since(tx: ReadTx, owner: Owner, audience: Audience, since: Instant) -> int:
    """Return how many events for an audience an owner has had since then."""
    row = tx.one_or_none(
        """
        select count(*) as n from event
         where merchant_id = :merchant_id and mode = :mode and audience = :audience and occurred_at >= :since
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        audience=int(audience),
        since=since,
    )
    return 0 if row is None else int(row["n"])


def newest_seq(tx: ReadTx, owner: Owner) -> int:
    """Return the number of an owner's newest event, 0 if it has none."""
    row = tx.one_or_none(
        "select max(seq) as seq from event where merchant_id = :merchant_id and mode = :mode",
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return 0 if row is None or row["seq"] is None else int(row["seq"])


def by_seq(tx: ReadTx, seq: int) -> RecordedEvent | None:
    """Return one event with its document."""
    row = tx.one_or_none(f"select {HEAD}, e.doc from event e where e.seq = :seq", seq=seq)
    return None if row is None else as_event(row, document_of(bytes(row["doc"])))


def by_id(tx: ReadTx, event_id: str) -> RecordedEvent:
    """Return one event with its document; that it exists is known."""
    row = tx.one_or_none(f"select {HEAD}, e.doc from event e where e.id = :id", id=event_id)
    if row is None:
        raise LookupError(event_id)
    return as_event(row, document_of(bytes(row["doc"])))


def mark(tx: Tx, seqs: Iterable[int], plan_state: int) -> None:
    """Set the plan state of events, all in one statement."""
    tx.defer(
        f"update event set plan_state = :plan_state where seq {among(tx, 'seqs')}",
        seqs=numbers(tx, seqs),
        plan_state=plan_state,
    )


def reopen_failed(tx: Tx) -> int:
    """Let the planner try again what it could not plan; return how many events that is."""
    return tx.run("update event set plan_state = 0 where plan_state <> 1 and plan_state = 2")


def insert_payloads(tx: Tx, payloads: Sequence[Mapping[str, Any]]) -> None:
    """Store payload bytes; what is stored already stays as it is."""
    insert(tx, "webhook_payload", PAYLOAD_COLUMNS, payloads, conflict="on conflict do nothing")


def insert_deliveries(tx: Tx, deliveries: Sequence[Mapping[str, Any]]) -> list[NewDelivery]:
    """Store deliveries, in the order given, and return those that are new."""
    made = insert_returning(
        tx,
        "webhook_delivery",
        DELIVERY_COLUMNS,
        deliveries,
        conflict="on conflict do nothing",
        returning="id, event_seq, endpoint_id",
    )
    return [NewDelivery(int(row["id"]), int(row["event_seq"]), int(row["endpoint_id"])) for row in made]


def as_event(row: Row, document: Mapping[str, Any] | None = None) -> RecordedEvent:
    routing: dict[str, str] = {} if row["routing"] == "{}" else json.loads(row["routing"])
    bare = routing.get("signature_format") == "bare"
    return RecordedEvent(
        seq=int(row["seq"]),
        id=row["id"],
        owner=Owner(int(row["merchant_id"]), Mode(row["mode"])),
        audience=Audience(row["audience"]),
        type=row["type"],
        merchant_type=row["merchant_type"],
        pix_type=row["pix_type"],
        object_type=row["object_type"],
        object_id=row["object_id"],
        occurred_at=row["occurred_at"],
        document=document if document is not None else {},
        callback_url=routing.get("callback_url"),
        callback_format=SignatureFormat.BARE if bare else SignatureFormat.PREFIXED,
    )
