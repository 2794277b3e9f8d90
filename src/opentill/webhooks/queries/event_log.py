"""Events as the merchant API lists them: what happened, in its dialect, with the deliveries (§9.13 there)."""

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.blocks import Block, Blocks
from opentill.db.bulk import among, numbers
from opentill.db.listing import Listing
from opentill.events import document_of
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.webhooks import event_blocks
from opentill.webhooks.model import RecordedEvent
from opentill.webhooks.queries.merchant_log import LogRow, rows
from opentill.webhooks.store import outbox

DELIVERIES_MAX: Final = 100  # of one event
_EVENT: Final = "select v.* from event v"


@dataclass(frozen=True, slots=True)
class EventFilters:
    """What a list of events is narrowed to; None means anything. *before* is exclusive."""

    event: str | None = None
    payment_uuid: str | None = None
    since: Instant | None = None
    before: Instant | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of the list; its pages go on from its number."""

    event: RecordedEvent

    @property
    def id(self) -> int:
        return self.event.seq


def page(
    tx: ReadTx, *, filters: EventFilters, owner: Owner, limit: int, offset: int = 0, before: int | None = None
) -> list[EventRow]:
    """Return up to *limit* events, newest first: those numbered below *before*, or after *offset* of them."""
    if filters.payment_uuid is not None:
        listing = _listing(filters, owner).asked("v.seq < :before", before=before)
        return _read(tx, listing, limit=limit, offset=offset)

    def read(block: Block, limit: int, offset: int) -> Sequence[EventRow]:
        return _read(tx, _within(filters, block, owner), limit=limit, offset=offset)

    return _blocks(tx, filters, owner).below(before).page(read, offset=offset, limit=limit)


def count(tx: ReadTx, *, filters: EventFilters, owner: Owner) -> int:
    """Return how many events pass the filters."""
    if filters.payment_uuid is None:
        return _blocks(tx, filters, owner).total()
    return _listing(filters, owner).count(tx, "event v")


def one(tx: ReadTx, event_id: str, *, owner: Owner) -> EventRow | None:
    """Return an event by its `evt_…`."""
    listing = _listing(EventFilters(), owner).where("v.id = :event_id", event_id=event_id)
    row = tx.one_or_none(f"{_EVENT} where {listing.condition}", **listing.params)
    return None if row is None else EventRow(_opened(row))


def deliveries_of(tx: ReadTx, events: Sequence[EventRow], *, owner: Owner) -> Mapping[int, list[LogRow]]:
    """Return the deliveries of events by the events' numbers, newest first."""
    found = tx.all(
        f"""
        select d.id, d.event_seq from webhook_delivery d join webhook_endpoint e on e.id = d.endpoint_id
         where d.event_seq {among(tx, "seqs")} and e.merchant_id = :merchant_id and e.mode = :mode and e.dialect = 0
         order by d.id desc limit :most
        """,
        seqs=numbers(tx, [event.id for event in events]),
        most=DELIVERIES_MAX * max(len(events), 1),
        **owner.columns,
    )
    event_of = {int(row["id"]): int(row["event_seq"]) for row in found}
    by_event: defaultdict[int, list[LogRow]] = defaultdict(list)
    for row in rows(tx, list(event_of)):
        by_event[event_of[row.delivery.id]].append(row)
    return by_event


def _blocks(tx: ReadTx, filters: EventFilters, owner: Owner) -> Blocks:
    found = event_blocks.blocks(tx, owner=owner, since=filters.since, until=filters.before, name=filters.event)
    return Blocks(found, lambda block: _within(filters, block, owner).count(tx, "event v"))


def _within(filters: EventFilters, block: Block, owner: Owner) -> Listing:
    listing = _listing(filters, owner)
    return listing.where("v.seq > :above and v.seq <= :up_to", above=block.above, up_to=block.up_to)


def _read(tx: ReadTx, listing: Listing, *, limit: int, offset: int) -> list[EventRow]:
    found = tx.all(
        f"{_EVENT} where {listing.condition} order by v.seq desc limit :limit offset :offset",
        limit=limit,
        offset=offset,
        **listing.params,
    )
    return [EventRow(_opened(row)) for row in found]


def _opened(row: Row) -> RecordedEvent:
    """Open a row of the list; a document nobody can read is an empty one."""
    try:
        document = document_of(bytes(row["doc"]))
    except (ValueError, zlib.error):
        document = {}
    return outbox.as_event(row, document)


def _listing(filters: EventFilters, owner: Owner) -> Listing:
    listing = Listing(owner, "v").where("v.merchant_type is not null")
    listing.asked("v.merchant_type = :event", event=filters.event)
    listing.asked("v.object_type = 'payment' and v.object_id = :payment_uuid", payment_uuid=filters.payment_uuid)
    listing.asked("v.occurred_at >= :since", since=filters.since)
    return listing.asked("v.occurred_at < :until", until=filters.before)
