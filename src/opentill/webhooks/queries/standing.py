"""How much there is of everything, for metrics and screens (webhooks.md §14)."""

from collections.abc import Mapping
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.webhooks.model import Breaker, DeliveryState, EndpointState, Klass
from opentill.webhooks.queries.lanes import lanes_with_work
from opentill.webhooks.store.by_state import in_state

UNFINISHED_OR_UNHAPPY = (DeliveryState.DUE, DeliveryState.SENDING, DeliveryState.DEAD, DeliveryState.HELD)


@dataclass(frozen=True, slots=True)
class Standing:
    """What one look at the database says; cheap enough for every scrape."""

    unplanned: int
    unplanned_since: Instant | None
    plan_failed: int
    oldest_due: Mapping[Klass, int]  # microseconds; active endpoints with open lanes
    oldest_blocked: int  # the same behind an open breaker
    lanes: Mapping[Breaker, int]
    endpoints: Mapping[EndpointState, int]


def standing(tx: ReadTx, *, now: Instant) -> Standing:
    """Look at queues and lanes. The cost grows with the lanes that have work, not with the backlog."""
    waits = _waits(tx, now)
    planning = tx.one_or_none(
        """
        select (select count(*) from event where plan_state <> 1 and plan_state = 0) as unplanned,
               (select min(occurred_at) from event where plan_state <> 1 and plan_state = 0) as since,
               (select count(*) from event where plan_state <> 1 and plan_state = 2) as failed
        """
    )
    if planning is None:
        raise RuntimeError("a select of scalars gave no row")
    return Standing(
        unplanned=int(planning["unplanned"]),
        unplanned_since=None if planning["since"] is None else Instant(planning["since"]),
        plan_failed=int(planning["failed"]),
        oldest_due={klass: waits.get((klass, True), 0) for klass in Klass},
        oldest_blocked=max((us for (_, is_open), us in waits.items() if not is_open), default=0),
        lanes={Breaker(key): n for key, n in _counts(tx, "webhook_lane", "breaker").items()},
        endpoints={EndpointState(key): n for key, n in _counts(tx, "webhook_endpoint", "state").items()},
    )


def planner_silent_us(tx: ReadTx, *, now: Instant) -> int:
    """Return for how long the oldest recorded event has waited to be planned."""
    row = tx.one_or_none("select min(occurred_at) as since from event where plan_state <> 1 and plan_state = 0")
    return 0 if row is None or row["since"] is None else max(0, now - int(row["since"]))


def delivery_counts(tx: ReadTx) -> dict[tuple[DeliveryState, Klass], int]:
    """Count deliveries that are not over, and those that ended badly. Grows with the backlog: for a watch."""
    found = {}
    for state in UNFINISHED_OR_UNHAPPY:
        rows = tx.all(f"select klass, count(*) as n from {in_state(tx, state)} d group by klass")
        found.update({(state, Klass(row["klass"])): int(row["n"]) for row in rows})
    return found


def _waits(tx: ReadTx, now: Instant) -> dict[tuple[Klass, bool], int]:
    """Return how long the oldest due delivery has waited, by class and by whether its lane is open."""
    first = """
           (select case when d.due_at > d.created_at then d.due_at else d.created_at end from webhook_delivery d
             where d.state = 0 and d.klass = {klass} and d.endpoint_id = l.endpoint_id
             order by d.due_at, d.id limit 1)"""
    found = tx.all(
        f"""
        with recursive lane (endpoint_id) as ({lanes_with_work(tx)}
        )
        select w.open_at, w.breaker,
               {", ".join(f"{first.format(klass=int(klass))} as klass_{int(klass)}" for klass in Klass)}
          from lane l
          join webhook_endpoint e on e.id = l.endpoint_id and e.state = 0 and e.transport = 0
          join webhook_lane w on w.endpoint_id = l.endpoint_id
         where l.endpoint_id is not null
        """
    )
    waits: dict[tuple[Klass, bool], int] = {}
    for row in found:
        is_open = row["open_at"] <= now and row["breaker"] == Breaker.CLOSED
        for klass in Klass:
            since = row[f"klass_{int(klass)}"]
            if since is not None:
                waits[klass, is_open] = max(waits.get((klass, is_open), 0), now - int(since))
    return waits


def _counts(tx: ReadTx, table: str, column: str) -> dict[int, int]:
    rows = tx.all(f"select {column} as named, count(*) as n from {table} group by {column}")
    return {int(row["named"]): int(row["n"]) for row in rows}
