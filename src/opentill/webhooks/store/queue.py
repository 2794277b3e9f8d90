"""Rows the dispatcher reads and writes: lanes with due rows, claims, leases, completions, the attempt log.

Claims and completions are fenced: `claim_gen` rises with every claim, and what was sent under an older one changes
nothing any more (webhooks.md §5.3, §5.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update, skip_locked
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks.model import Breaker, Claimed, Klass, Origin, SignatureFormat
from opentill.webhooks.rules import Grant, Lane
from opentill.webhooks.store.bulk import among, insert, numbers, row_set, rows

RECLAIM_ROWS_MAX: Final = 200
FOREVER: Final = 2**62

ATTEMPT_COLUMNS: Final = (
    "public_id", "delivery_id", "endpoint_id", "number", "claim_gen", "started_at", "duration_us", "outcome",
    "status", "fenced", "detail", "body",
)  # fmt: skip

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
}

VERDICT_COLUMNS: Final = {
    "id": "bigint",
    "claim_gen": "bigint",
    "state": "bigint",
    "due_at": "bigint",
    "klass": "bigint",
    "reason": "text",
    "counted": "bigint",
    "lost": "bigint",
    "last_status": "bigint",
    "last_outcome": "text",
    "finished_at": "bigint",
}


def clock(tx: ReadTx) -> Instant | None:
    """Return the clock all workers share; None on SQLite, where there is one process and its own clock holds."""
    if tx.dialect != "postgres":
        return None
    row = tx.one_or_none("select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as now")
    return None if row is None else Instant(row["now"])


@dataclass(slots=True)
class LaneRoom:
    """How many more attempts an idle lane may run, and the objects whose order a new one would break."""

    free: int
    busy_objects: set[str]


def idle_lanes(tx: Tx, lanes: Mapping[int, int], *, now: Instant) -> dict[int, LaneRoom]:
    """Lock those lanes (ids with their caps) that are healthy and have nothing due, and return their room."""
    locked = _lock_healthy_lanes(tx, lanes, now=now) if tx.dialect == "postgres" else list(lanes)
    if not locked:
        return {}
    counted = tx.all(
        f"""
        select l.endpoint_id,
               (select count(*) from webhook_delivery s
                 where s.endpoint_id = l.endpoint_id and s.state = 1) as running
          from webhook_lane l
         where l.endpoint_id {among(tx, "ids")} and l.breaker = 0 and l.open_at <= :now
           and not exists (select 1 from webhook_delivery d where d.endpoint_id = l.endpoint_id and d.state = 0)
        """,
        ids=numbers(tx, locked),
        now=now,
    )
    rooms = {int(r["endpoint_id"]): LaneRoom(lanes[int(r["endpoint_id"])] - int(r["running"]), set()) for r in counted}
    if any(row["running"] for row in counted):
        for row in _busy_objects(tx, rooms):
            rooms[int(row["endpoint_id"])].busy_objects.add(row["object_key"])
    return rooms


def _lock_healthy_lanes(tx: Tx, lanes: Iterable[int], *, now: Instant) -> list[int]:
    found = tx.all(
        f"""
        select endpoint_id from webhook_lane
         where endpoint_id {among(tx, "ids")} and breaker = 0 and open_at <= :now
         order by endpoint_id{skip_locked(tx)}
        """,
        ids=numbers(tx, lanes),
        now=now,
    )
    return [int(row["endpoint_id"]) for row in found]


def _busy_objects(tx: Tx, lanes: Iterable[int]) -> Sequence[Row]:
    return tx.all(
        f"""
        select endpoint_id, object_key from webhook_delivery
         where endpoint_id {among(tx, "ids")} and state = 1 and (ordering = 2 or attempts = 0)
        """,
        ids=numbers(tx, lanes),
    )


# Claiming.


def claim(tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant, lease_until: Instant) -> list[tuple[int, int]]:
    """Take due rows under a lease, as many as the grants allow; return their ids and endpoint ids.

    Lanes are locked first and their running rows counted in a later statement: only so do caps hold across workers.
    """
    locked = _lock_open_lanes(tx, grants, now=now)
    usable = [grant for grant in grants if grant.endpoint_id in locked]
    trials = [grant.endpoint_id for grant in usable if grant.trial]
    if trials:
        tx.run(
            f"update webhook_lane set breaker = 2 where breaker = 1 and endpoint_id {among(tx, 'ids')}",
            ids=numbers(tx, trials),
        )
    take = _claim_in_lanes if tx.dialect == "postgres" else _claim_lane_by_lane
    return take(tx, usable, worker=worker, now=now, lease_until=lease_until)


def _lock_open_lanes(tx: Tx, grants: Sequence[Grant], *, now: Instant) -> set[int]:
    found = tx.all(
        f"""
        select endpoint_id from webhook_lane
         where endpoint_id {among(tx, "ids")} and open_at <= :now
           and exists (select 1 from webhook_endpoint e where e.id = endpoint_id and e.state = 0)
         order by endpoint_id{skip_locked(tx)}
        """,
        ids=numbers(tx, (grant.endpoint_id for grant in grants)),
        now=now,
    )
    return {int(row["endpoint_id"]) for row in found}


# The first attempt waits for its predecessors as its endpoint's ordering says (webhooks.md §4.6).
_IN_ORDER: Final = """(d.ordering = 0 or (d.ordering = 1 and d.attempts > 0) or not exists (
              select 1 from webhook_delivery e
               where e.endpoint_id = d.endpoint_id and e.object_key = d.object_key and e.id < d.id
                 and e.state in (0, 1) and (d.ordering = 2 or e.attempts = 0)))"""

_CLAIM_LANES: Final = f"""
    with room as (
      select g.endpoint_id,
             least(g.most, g.cap - (select count(*) from webhook_delivery s
                                     where s.endpoint_id = g.endpoint_id and s.state = 1)) as n
        from {{grants}} g
    ), picked as (
      select p.id
        from room r
       cross join lateral (
         select d.id
           from webhook_delivery d
          where d.endpoint_id = r.endpoint_id and d.state = 0 and d.klass = :klass and d.due_at <= :now
            and {_IN_ORDER}
          order by d.due_at, d.id
          limit greatest(r.n, 0)
            for update skip locked
       ) p
    )
    update webhook_delivery d
       set state = 1, claim_gen = d.claim_gen + 1, lease_owner = :worker, lease_until = :lease_until
      from picked
     where d.id = picked.id
    returning d.id, d.endpoint_id"""

_CLAIM_LANE: Final = f"""
    update webhook_delivery
       set state = 1, claim_gen = claim_gen + 1, lease_owner = :worker, lease_until = :lease_until
     where id in (
       select d.id
         from webhook_delivery d
        where d.endpoint_id = :lane and d.state = 0 and d.klass = :klass and d.due_at <= :now
          and {_IN_ORDER}
        order by d.due_at, d.id
        limit max(min(:most, :cap - (select count(*) from webhook_delivery s
                                      where s.endpoint_id = :lane and s.state = 1)), 0))
    returning id, endpoint_id"""


def _claim_in_lanes(
    tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant, lease_until: Instant
) -> list[tuple[int, int]]:
    """Claim class by class, all lanes in one statement each."""
    columns = {"endpoint_id": "bigint", "cap": "bigint", "most": "bigint"}
    sql = _CLAIM_LANES.format(grants=row_set(tx, "grants", columns))
    left = {grant.endpoint_id: grant.most for grant in grants}
    taken: list[tuple[int, int]] = []
    for step in range(max((len(grant.classes) for grant in grants), default=0)):
        for klass in Klass:
            here = [
                (g.endpoint_id, g.classes[step][1], left[g.endpoint_id])
                for g in grants
                if step < len(g.classes) and g.classes[step][0] is klass and left[g.endpoint_id] > 0
            ]
            if not here:
                continue
            found = tx.all(sql, grants=rows(here), klass=int(klass), now=now, worker=worker, lease_until=lease_until)
            for row in found:
                taken.append((int(row["id"]), int(row["endpoint_id"])))
                left[int(row["endpoint_id"])] -= 1
    return taken


def _claim_lane_by_lane(
    tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant, lease_until: Instant
) -> list[tuple[int, int]]:
    taken: list[tuple[int, int]] = []
    for grant in grants:
        left = grant.most
        for klass, cap in grant.classes:
            if left <= 0:
                break
            found = tx.all(
                _CLAIM_LANE,
                lane=grant.endpoint_id,
                klass=int(klass),
                cap=cap,
                most=left,
                now=now,
                worker=worker,
                lease_until=lease_until,
            )
            taken.extend((int(row["id"]), int(row["endpoint_id"])) for row in found)
            left -= len(found)
    return taken


def claimed(tx: ReadTx, delivery_ids: Iterable[int]) -> list[Claimed]:
    """Return what claimed deliveries are made of, oldest first."""
    found = tx.all(
        f"""
        select d.id, d.public_id, d.endpoint_id, d.event_seq, d.wire_type, d.variant, d.target_url, d.target_format,
               d.origin, d.klass, d.attempts, d.attempts_max, d.claim_gen, d.lost,
               v.id as event_id, v.merchant_id, v.mode, p.body
          from webhook_delivery d
          join event v on v.seq = d.event_seq
          left join webhook_payload p on p.event_seq = d.event_seq and p.variant = d.variant
         where d.id {among(tx, "ids")}
         order by d.id
        """,
        ids=numbers(tx, delivery_ids),
    )
    return [_as_claimed(row) for row in found]


def _as_claimed(row: Row) -> Claimed:
    form = row["target_format"]
    return Claimed(
        id=int(row["id"]),
        public_id=row["public_id"],
        endpoint_id=int(row["endpoint_id"]),
        owner=Owner(int(row["merchant_id"]), Mode(row["mode"])),
        event_seq=int(row["event_seq"]),
        event_id=row["event_id"],
        wire_type=row["wire_type"],
        variant=row["variant"],
        body=None if row["body"] is None else bytes(row["body"]),
        target_url=row["target_url"],
        target_format=None if form is None else SignatureFormat(form),
        origin=Origin(row["origin"]),
        klass=Klass(row["klass"]),
        attempts=int(row["attempts"]),
        attempts_max=row["attempts_max"],
        claim_gen=int(row["claim_gen"]),
        lost=int(row["lost"]),
    )


# Leases.


def extend_leases(tx: Tx, *, worker: str, lease_until: Instant) -> int:
    """Extend the leases of everything a worker is sending; return how many."""
    return tx.run(
        "update webhook_delivery set lease_until = :lease_until where state = 1 and lease_owner = :worker",
        worker=worker,
        lease_until=lease_until,
    )


def lapsed(tx: Tx, *, now: Instant | None) -> list[Row]:
    """Lock and return rows whose worker did not report until *now*; None returns all that are being sent."""
    return list(
        tx.all(
            f"""
            select id, endpoint_id, claim_gen, attempts, attempts_max, lost, lease_owner, lease_until
              from webhook_delivery
             where state = 1 and lease_until <= :until
             order by lease_until
             limit :most{skip_locked(tx)}
            """,
            until=FOREVER if now is None else now,
            most=RECLAIM_ROWS_MAX,
        )
    )


# Completing.


def settle(tx: Tx, verdicts: Iterable[Sequence[object]]) -> set[tuple[int, int]]:
    """Write verdicts (in the order of `VERDICT_COLUMNS`); return the claims (id, generation) that still held."""
    found = tx.all(
        f"""
        update webhook_delivery
           set state = v.state, attempts = webhook_delivery.attempts + v.counted, lost = v.lost,
               due_at = coalesce(v.due_at, webhook_delivery.due_at),
               klass = coalesce(v.klass, webhook_delivery.klass),
               reason = v.reason, lease_owner = null, lease_until = null, finished_at = v.finished_at,
               last_status = coalesce(v.last_status, webhook_delivery.last_status),
               last_outcome = coalesce(v.last_outcome, webhook_delivery.last_outcome)
          from {row_set(tx, "verdicts", VERDICT_COLUMNS)} v
         where webhook_delivery.id = v.id and webhook_delivery.claim_gen = v.claim_gen
           and webhook_delivery.state = 1
        returning webhook_delivery.id, webhook_delivery.claim_gen
        """,
        verdicts=rows(verdicts),
    )
    return {(int(row["id"]), int(row["claim_gen"])) for row in found}


def insert_attempts(tx: Tx, attempts: Sequence[Mapping[str, Any]]) -> None:
    """Append to the attempt log."""
    insert(tx, "webhook_attempt", ATTEMPT_COLUMNS, attempts)


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
    """Store lanes, all in one statement."""
    names = [name for name in LANE_COLUMNS if name != "endpoint_id"]
    tx.run(
        f"""
        update webhook_lane
           set {", ".join(f"{name} = l.{name}" for name in names)}
          from {row_set(tx, "lanes", LANE_COLUMNS)} l
         where webhook_lane.endpoint_id = l.endpoint_id
        """,
        lanes=rows([getattr(lane, name) for name in LANE_COLUMNS] for lane in changed),
    )


def cancel_unfinished(tx: Tx, endpoint_id: int, *, reason: str, now: Instant) -> int:
    """Cancel what an endpoint still waits for; attempts under way are fenced off by their state."""
    return tx.run(
        """
        update webhook_delivery
           set state = 5, reason = :reason, lease_owner = null, lease_until = null, finished_at = :now
         where endpoint_id = :endpoint_id and state in (0, 1, 4)
        """,
        endpoint_id=endpoint_id,
        reason=reason,
        now=now,
    )


def set_due_aside(tx: Tx, endpoint_id: int, *, reason: str) -> int:
    """Hold what waits for an endpoint; return how many deliveries that is."""
    return tx.run(
        "update webhook_delivery set state = 4, reason = :reason where endpoint_id = :endpoint_id and state = 0",
        endpoint_id=endpoint_id,
        reason=reason,
    )


def insert_claimed(tx: Tx, **columns: Any) -> int:
    """Insert a delivery that is claimed already, generation 1; return its id."""
    made = tx.all(
        """
        insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, origin,
                                      state, attempts_max, claim_gen, lease_owner, lease_until, created_at)
        values (:public_id, :event_seq, :endpoint_id, :wire_type, :variant, :object_key, :origin,
                1, :attempts_max, 1, :worker, :lease_until, :now)
        returning id
        """,
        **columns,
    )
    return int(made[0]["id"])
