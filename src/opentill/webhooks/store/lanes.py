"""Rows of lanes: how much each may run, its breaker and its failure clock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import among, numbers, row_set, rows
from opentill.db.dialect import for_update, shared_clock, skip_locked
from opentill.kernel.clock import Instant
from opentill.webhooks.model import Breaker
from opentill.webhooks.rules import Bucket, Lane

LANE_COLUMNS: Final = {
    "endpoint_id": "bigint",
    "open_at": "bigint",
    "breaker": "bigint",
    "breaker_step": "bigint",
    "ramp_cap": "bigint",
    "win_start": "bigint",
    "win_total": "bigint",
    "win_failed": "bigint",
    "timeout_run": "bigint",
    "fail_run": "bigint",
    "failing_since": "bigint",
    "last_ok_at": "bigint",
    "notice_step": "bigint",
}


def clock(tx: ReadTx) -> Instant | None:
    """Return the clock all workers share; None on SQLite, where there is one process and its own clock holds."""
    if tx.dialect != "postgres":
        return None
    row = tx.one_or_none(f"select {shared_clock(tx)} as now")
    return None if row is None else Instant(row["now"])


@dataclass(slots=True)
class LaneRoom:
    """How many more attempts an idle lane may run, and the objects whose order a new one would break."""

    free: int
    busy_objects: set[str]


def idle_lanes(tx: Tx, lanes: Mapping[int, int], *, now: Instant) -> dict[int, LaneRoom]:
    """Lock those lanes (ids with their caps) that are healthy and have nothing due, and return their room."""
    if tx.dialect == "postgres":  # still two statements: the second sees whatever was committed before the locks
        locked, counted = tx.together(
            lambda tx: _lock_healthy_lanes(tx, lanes, now=now), lambda tx: _count_running(tx, lanes, now=now)
        )
    else:
        locked, counted = set(lanes), _count_running(tx, lanes, now=now)
    counted = [row for row in counted if row["endpoint_id"] in locked]
    rooms = {int(r["endpoint_id"]): LaneRoom(lanes[int(r["endpoint_id"])] - int(r["running"]), set()) for r in counted}
    if any(row["running"] for row in counted):
        for row in _busy_objects(tx, rooms):
            rooms[int(row["endpoint_id"])].busy_objects.add(row["object_key"])
    return rooms


def _count_running(tx: Tx, lanes: Iterable[int], *, now: Instant) -> Sequence[Row]:
    """Return those lanes that are healthy and have nothing due, and how many attempts each runs."""
    return tx.all(
        f"""
        select l.endpoint_id,
               (select count(*) from webhook_delivery s
                 where s.endpoint_id = l.endpoint_id and s.state = 1) as running
          from webhook_lane l
         where l.endpoint_id {among(tx, "ids")} and l.breaker = 0 and l.open_at <= :now
           and not exists (select 1 from webhook_delivery d where d.endpoint_id = l.endpoint_id and d.state = 0)
        """,
        ids=numbers(tx, lanes),
        now=now,
    )


def _lock_healthy_lanes(tx: Tx, lanes: Iterable[int], *, now: Instant) -> set[int]:
    found = tx.all(
        f"""
        select endpoint_id from webhook_lane
         where endpoint_id {among(tx, "ids")} and breaker = 0 and open_at <= :now
         order by endpoint_id{skip_locked(tx)}
        """,
        ids=numbers(tx, lanes),
        now=now,
    )
    return {int(row["endpoint_id"]) for row in found}


def _busy_objects(tx: Tx, lanes: Iterable[int]) -> Sequence[Row]:
    return tx.all(
        f"""
        select endpoint_id, object_key from webhook_delivery
         where endpoint_id {among(tx, "ids")} and state = 1 and (ordering = 2 or (ordering = 1 and attempts = 0))
        """,
        ids=numbers(tx, lanes),
    )


def lanes(tx: Tx, endpoint_ids: Iterable[int]) -> dict[int, Lane]:
    """Lock and return lanes."""
    found = tx.all(
        f"""
        select {", ".join(LANE_COLUMNS)} from webhook_lane
         where endpoint_id {among(tx, "ids")} order by endpoint_id{for_update(tx)}
        """,
        ids=numbers(tx, endpoint_ids),
    )
    return {
        int(row["endpoint_id"]): Lane(
            **{name: row[name] for name in LANE_COLUMNS if name != "breaker"}, breaker=Breaker(row["breaker"])
        )
        for row in found
    }


def save_lanes(tx: Tx, changed: Sequence[Lane]) -> None:
    """Store lanes, all in one statement, with the next one or the commit."""
    names = [name for name in LANE_COLUMNS if name != "endpoint_id"]
    tx.defer(
        f"""
        update webhook_lane
           set {", ".join(f"{name} = l.{name}" for name in names)}
          from {row_set(tx, "lanes", LANE_COLUMNS)} l
         where webhook_lane.endpoint_id = l.endpoint_id
        """,
        lanes=rows([getattr(lane, name) for name in LANE_COLUMNS] for lane in changed),
    )


def save_tokens(tx: Tx, buckets: Mapping[int, Bucket]) -> None:
    """Store what is left in the buckets of lanes."""
    columns = {"endpoint_id": "bigint", "tokens": "double precision", "tokens_at": "bigint"}
    tx.run(
        f"""
        update webhook_lane set tokens = l.tokens, tokens_at = l.tokens_at
          from {row_set(tx, "lanes", columns)} l
         where webhook_lane.endpoint_id = l.endpoint_id
        """,
        lanes=rows((endpoint_id, bucket.tokens, bucket.at) for endpoint_id, bucket in buckets.items()),
    )
