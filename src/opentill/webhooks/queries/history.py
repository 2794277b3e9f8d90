"""Lists of deliveries and attempts, for screens and APIs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.db.bulk import among, numbers
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.webhooks.model import DeliveryState, EndpointState, Origin

PAGE_ROWS_MAX: Final = 200
OBJECT_TYPES: Final = (
    "payment", "charge", "refund", "dispute", "invoice", "payment_link", "customer", "payout", "return", "infraction",
    "endpoint", "delivery",
)  # fmt: skip

OWNED: Final = "e.merchant_id = :merchant_id and e.mode = :mode"
_FILTERS: Final = {
    "before": "i.id < :before",
    "after": "i.id > :after",
    "endpoint_id": "i.endpoint_id = :endpoint_id",
    "event_name": "i.wire_type = :event_name",
    # The index of events is by type and id.
    "object_id": f"""i.event_seq in (select seq from event
                                  where object_type in ({", ".join(f"'{name}'" for name in OBJECT_TYPES)})
                                    and object_id = :object_id)""",
}

_DELIVERY: Final = """
        select d.id, d.public_id, d.wire_type, d.endpoint_id, d.target_url, d.variant, d.event_seq, d.origin,
               d.state, d.reason, d.attempts, d.due_at, d.last_status, d.last_outcome, d.created_at,
               d.finished_at, e.public_id as endpoint_public_id, e.url, e.state as endpoint_state,
               v.id as event_id, v.object_type, v.object_id
          from webhook_delivery d
          join webhook_endpoint e on e.id = d.endpoint_id
          join event v on v.seq = d.event_seq"""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as lists show it, with its event."""

    id: int
    public_id: str
    event_id: str
    event_name: str
    object_type: str
    object_id: str
    endpoint_id: int
    endpoint_public_id: str
    url: str
    variant: str
    event_seq: int
    origin: Origin
    state: DeliveryState
    endpoint_state: EndpointState
    reason: str | None
    attempts: int
    due_at: Instant
    last_status: int | None
    last_outcome: str | None
    created_at: Instant
    finished_at: Instant | None

    @property
    def waits(self) -> bool:
        """Tell whether it is due but its endpoint is out of service: shown as held."""
        return self.state is DeliveryState.DUE and self.endpoint_state not in (
            EndpointState.ACTIVE,
            EndpointState.ACTIVATING,
        )


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt from the log."""

    public_id: str
    delivery_id: int
    number: int
    started_at: Instant
    duration_us: int
    outcome: str
    status: int | None
    fenced: bool
    detail: dict[str, Any]
    body: bytes | None


def deliveries(
    tx: ReadTx,
    *,
    owner: Owner,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    endpoint_id: int | None = None,
    event_name: str | None = None,
    states: Sequence[DeliveryState] | None = None,
    object_id: str | None = None,
    tried: bool | None = None,
    offset: int = 0,
) -> list[DeliveryRow]:
    """Return an owner's deliveries, newest first, older than the delivery id *before*, after *offset* newer ones.

    Those newer than the delivery id *after* come oldest first, so that all of them are read page by page.

    The newest of each endpoint are picked from its index and merged: an owner with few among millions waits no longer
    than one with many.
    """
    given: dict[str, Any] = {
        "before": before,
        "after": after,
        "endpoint_id": endpoint_id,
        "event_name": event_name,
        "object_id": object_id,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    clauses = [_FILTERS[name] for name in chosen]
    if states is not None:
        clauses.append(f"i.state {among(tx, 'states')}")
        chosen["states"] = numbers(tx, states)
    if tried is not None:
        clauses.append("i.attempts > 0" if tried else "i.attempts = 0")
    rows, way = min(limit, PAGE_ROWS_MAX), "desc" if after is None else "asc"
    found_ids = picked(tx, clauses, way, by_object=object_id is not None)
    found = tx.all(
        f"""
        {_DELIVERY}
         where d.id in (select id from ({found_ids}) listed order by id {way} limit :limit offset :offset)
         order by d.id {way}
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        limit=rows,
        offset=offset,
        reach=offset + rows,
        **chosen,
    )
    return [_delivery(row) for row in found]


def picked(tx: ReadTx, clauses: Sequence[str], way: str = "desc", *, by_object: bool, owned: str = OWNED) -> str:
    """Return a select of the ids of deliveries of an owner, in one *way*: of an object, else `:reach` of each endpoint.

    *clauses* are about a delivery `i`, *owned* is about its endpoint `e`.
    """
    if by_object:
        wanted = " and ".join((owned, *clauses))
        return f"select i.id from webhook_delivery i join webhook_endpoint e on e.id = i.endpoint_id where {wanted}"
    of_each = f"""
        select i.id from webhook_delivery i
         where {" and ".join(("i.endpoint_id = e.id", *clauses))}
         order by i.id {way} limit :reach"""
    if tx.dialect == "postgres":
        return f"select p.id from webhook_endpoint e cross join lateral ({of_each}) p where {owned}"
    # SQLite has no lateral joins: each endpoint gives its ids as a list, which its index alone can make.
    listed = f"json_each((select json_group_array(id) from ({of_each})))"
    return f"select own.value as id from webhook_endpoint e, {listed} own where {owned}"


def delivery(tx: ReadTx, *, owner: Owner, public_id: str) -> DeliveryRow | None:
    """Return one of an owner's deliveries."""
    row = tx.one_or_none(
        f"{_DELIVERY} where d.public_id = :public_id and e.merchant_id = :merchant_id and e.mode = :mode",
        public_id=public_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return None if row is None else _delivery(row)


def deliveries_by_id(tx: ReadTx, delivery_ids: Sequence[int]) -> list[DeliveryRow]:
    """Return deliveries the caller is known to own, newest first."""
    found = tx.all(f"{_DELIVERY} where d.id {among(tx, 'ids')} order by d.id desc", ids=numbers(tx, delivery_ids))
    return [_delivery(row) for row in found]


def attempts(tx: ReadTx, delivery_ids: Sequence[int]) -> list[AttemptRow]:
    """Return the attempts of deliveries the caller is known to own, oldest first."""
    found = tx.all(
        f"""
        select public_id, delivery_id, number, started_at, duration_us, outcome, status, fenced, detail, body
          from webhook_attempt
         where delivery_id {among(tx, "ids")}
         order by delivery_id, started_at, id
        """,
        ids=numbers(tx, delivery_ids),
    )
    return [
        AttemptRow(
            public_id=row["public_id"],
            delivery_id=int(row["delivery_id"]),
            number=int(row["number"]),
            started_at=row["started_at"],
            duration_us=int(row["duration_us"]),
            outcome=row["outcome"],
            status=row["status"],
            fenced=bool(row["fenced"]),
            detail=json.loads(row["detail"]),
            body=None if row["body"] is None else bytes(row["body"]),
        )
        for row in found
    ]


def payload(tx: ReadTx, *, event_seq: int, variant: str) -> bytes | None:
    """Return the bytes that were or will be sent; None if they are no longer stored."""
    row = tx.one_or_none(
        "select body from webhook_payload where event_seq = :event_seq and variant = :variant",
        event_seq=event_seq,
        variant=variant,
    )
    return None if row is None else bytes(row["body"])


def _delivery(row: Row) -> DeliveryRow:
    return DeliveryRow(
        id=int(row["id"]),
        public_id=row["public_id"],
        event_id=row["event_id"],
        event_name=row["wire_type"],
        object_type=row["object_type"],
        object_id=row["object_id"],
        endpoint_id=int(row["endpoint_id"]),
        endpoint_public_id=row["endpoint_public_id"],
        url=row["target_url"] or row["url"],
        variant=row["variant"],
        event_seq=int(row["event_seq"]),
        origin=Origin(row["origin"]),
        state=DeliveryState(row["state"]),
        endpoint_state=EndpointState(row["endpoint_state"]),
        reason=row["reason"],
        attempts=int(row["attempts"]),
        due_at=row["due_at"],
        last_status=row["last_status"],
        last_outcome=row["last_outcome"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
