"""Lists and figures for screens and APIs. Read-only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.kernel.clock import MINUTE, Instant
from opentill.kernel.owner import Owner
from opentill.webhooks.model import DeliveryState, EndpointState, Klass, Origin
from opentill.webhooks.store.bulk import among, numbers
from opentill.webhooks.store.queue import lanes_with_work

PAGE_ROWS_MAX: Final = 200
PLAN_GRACE: Final = MINUTE
DUE_GRACE: Final = 10 * MINUTE
LEASE_GRACE: Final = MINUTE


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
    endpoint_id: int | None = None,
    event_name: str | None = None,
    states: Sequence[DeliveryState] | None = None,
    object_id: str | None = None,
) -> list[DeliveryRow]:
    """Return an owner's deliveries, newest first, older than the delivery id *before*."""
    filters = {
        "before": "d.id < :before",
        "endpoint_id": "d.endpoint_id = :endpoint_id",
        "event_name": "d.wire_type = :event_name",
        "object_id": "v.object_id = :object_id",
    }
    given: dict[str, Any] = {
        "before": before,
        "endpoint_id": endpoint_id,
        "event_name": event_name,
        "object_id": object_id,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    clauses = [filters[name] for name in chosen]
    if states is not None:
        clauses.append(f"d.state {among(tx, 'states')}")
        chosen["states"] = numbers(tx, states)
    more = "".join(f" and {clause}" for clause in clauses)
    found = tx.all(
        f"""
        {_DELIVERY}
         where d.endpoint_id in (select id from webhook_endpoint
                                  where merchant_id = :merchant_id and mode = :mode){more}
         order by d.id desc
         limit :limit
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        limit=min(limit, PAGE_ROWS_MAX),
        **chosen,
    )
    return [_delivery(row) for row in found]


def delivery(tx: ReadTx, *, owner: Owner, public_id: str) -> DeliveryRow | None:
    """Return one of an owner's deliveries."""
    row = tx.one_or_none(
        f"{_DELIVERY} where d.public_id = :public_id and e.merchant_id = :merchant_id and e.mode = :mode",
        public_id=public_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return None if row is None else _delivery(row)


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


_DELIVERY: Final = """
        select d.id, d.public_id, d.wire_type, d.endpoint_id, d.target_url, d.variant, d.event_seq, d.origin,
               d.state, d.reason, d.attempts, d.due_at, d.last_status, d.last_outcome, d.created_at,
               d.finished_at, e.public_id as endpoint_public_id, e.url, e.state as endpoint_state,
               v.id as event_id, v.object_type, v.object_id
          from webhook_delivery d
          join webhook_endpoint e on e.id = d.endpoint_id
          join event v on v.seq = d.event_seq"""


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


# Figures of the engine (webhooks.md §14).


@dataclass(frozen=True, slots=True)
class Figures:
    """Where the engine stands: events to plan, deliveries by state, and how long the oldest has been due."""

    unplanned: int
    plan_failed: int
    by_state: dict[DeliveryState, int]
    oldest_due_us: int


def figures(tx: ReadTx, *, now: Instant) -> Figures:
    """Count unfinished work. Finished deliveries are not counted: that would grow with history."""
    plan = tx.one_or_none(
        """
        select coalesce(sum(case when plan_state = 0 then 1 else 0 end), 0) as unplanned,
               coalesce(sum(case when plan_state = 2 then 1 else 0 end), 0) as failed
          from event where plan_state <> 1
        """
    )
    states = tx.all(
        """
        select 0 as state, count(*) as n from webhook_delivery where state = 0
        union all
        select 1, count(*) from webhook_delivery where state = 1
        """
    )
    return Figures(
        unplanned=0 if plan is None else int(plan["unplanned"]),
        plan_failed=0 if plan is None else int(plan["failed"]),
        by_state={DeliveryState(row["state"]): int(row["n"]) for row in states},
        oldest_due_us=_oldest_due(tx, now=now),
    )


def _oldest_due(tx: ReadTx, *, now: Instant) -> int:
    """Return for how many microseconds the oldest due delivery of an active endpoint and open lane has waited."""
    first = """
           (select case when d.due_at > d.created_at then d.due_at else d.created_at end from webhook_delivery d
             where d.state = 0 and d.klass = {klass} and d.endpoint_id = l.endpoint_id
             order by d.due_at, d.id limit 1)"""
    found = tx.all(
        f"""
        with recursive lane (endpoint_id) as ({lanes_with_work(tx)}
        )
        select {", ".join(f"{first.format(klass=int(klass))} as klass_{int(klass)}" for klass in Klass)}
          from lane l
          join webhook_endpoint e on e.id = l.endpoint_id and e.state = 0
          join webhook_lane w on w.endpoint_id = l.endpoint_id and w.open_at <= :now
         where l.endpoint_id is not null
        """,
        now=now,
    )
    since = [int(row[f"klass_{int(k)}"]) for row in found for k in Klass if row[f"klass_{int(k)}"] is not None]
    return max(0, now - min(since)) if since else 0


@dataclass(frozen=True, slots=True)
class Orphans:
    """What nobody looks after any more. Every figure must be 0 (webhooks.md §14)."""

    unplanned: int
    due: int
    sending: int
    without_payload: int
    without_lane_or_secret: int

    @property
    def total(self) -> int:
        return self.unplanned + self.due + self.sending + self.without_payload + self.without_lane_or_secret


def orphans(tx: ReadTx, *, now: Instant) -> Orphans:
    """Look for orphans with queries of their own, independent of those that move the work."""

    def count(sql: str, **params: object) -> int:
        row = tx.one_or_none(f"select count(*) as n from {sql}", **params)
        return 0 if row is None else int(row["n"])

    return Orphans(
        unplanned=count("event where plan_state <> 1 and plan_state = 0 and occurred_at < :t", t=now - PLAN_GRACE),
        due=count(
            """webhook_delivery d join webhook_endpoint e on e.id = d.endpoint_id and e.state = 0
               join webhook_lane l on l.endpoint_id = d.endpoint_id and l.open_at < :t
               where d.state = 0 and d.due_at < :t and d.created_at < :t and l.breaker = 0""",
            t=now - DUE_GRACE,
        ),
        sending=count("webhook_delivery where state = 1 and lease_until < :t", t=now - LEASE_GRACE),
        without_payload=count(
            """webhook_delivery d where d.state in (0, 1)
               and not exists (select 1 from webhook_payload p
                                where p.event_seq = d.event_seq and p.variant = d.variant)
               and not exists (select 1 from event v where v.seq = d.event_seq)"""
        ),
        without_lane_or_secret=count(
            """webhook_endpoint e where e.state <> 3
               and (not exists (select 1 from webhook_lane l where l.endpoint_id = e.id)
                    or (e.kind <> 1 and not exists (select 1 from webhook_secret s
                                                     where s.endpoint_id = e.id and s.retires_at is null)))"""
        ),
    )
