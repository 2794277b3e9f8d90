"""Claiming: due rows are granted to one worker at a time, under a lease and a rising generation (webhooks.md §5.3)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from opentill.db import Tx
from opentill.db.bulk import among, numbers, row_set, rows
from opentill.db.dialect import skip_locked
from opentill.kernel.clock import Instant
from opentill.kernel.failpoints import reach
from opentill.webhooks.model import Klass
from opentill.webhooks.rules import Bucket, Grant, bucket_of
from opentill.webhooks.store.lanes import save_tokens


def claim(tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant, lease_until: Instant) -> list[tuple[int, int]]:
    """Take due rows under a lease, as many as the grants allow; return their ids and endpoint ids.

    Lanes are locked first and their running rows counted in a later statement: only so do caps hold across workers.
    """
    buckets = _lock_open_lanes(tx, grants, now=now)
    reach("claim.locked")
    usable = [_within(grant, buckets[grant.endpoint_id], now) for grant in grants if grant.endpoint_id in buckets]
    trials = [grant.endpoint_id for grant in usable if grant.trial]
    if trials:
        tx.run(
            f"update webhook_lane set breaker = 2 where breaker = 1 and endpoint_id {among(tx, 'ids')}",
            ids=numbers(tx, trials),
        )
    taken = _claim_in_lanes(tx, usable, worker=worker, now=now, lease_until=lease_until)
    _spend(tx, buckets, Counter(endpoint_id for _, endpoint_id in taken), now=now)
    return taken


def _lock_open_lanes(tx: Tx, grants: Sequence[Grant], *, now: Instant) -> dict[int, Bucket | None]:
    """Lock those lanes that may be claimed from, and return what is in their buckets."""
    found = tx.all(
        f"""
        select endpoint_id, tokens, tokens_at from webhook_lane
         where endpoint_id {among(tx, "ids")} and open_at <= :now
           and exists (select 1 from webhook_endpoint e where e.id = endpoint_id and e.state = 0)
         order by endpoint_id{skip_locked(tx)}
        """,
        ids=numbers(tx, (grant.endpoint_id for grant in grants)),
        now=now,
    )
    rates = {grant.endpoint_id: (grant.per_s, grant.burst) for grant in grants}
    return {
        int(row["endpoint_id"]): bucket_of(*rates[int(row["endpoint_id"])], row["tokens"], row["tokens_at"])
        for row in found
    }


def _within(grant: Grant, bucket: Bucket | None, now: Instant) -> Grant:
    """Return a grant for no more than there are tokens."""
    return grant if bucket is None else replace(grant, most=min(grant.most, int(bucket.tokens_at(now))))


def _spend(tx: Tx, buckets: Mapping[int, Bucket | None], taken: Counter[int], *, now: Instant) -> None:
    left = {
        endpoint_id: bucket.spent(taken[endpoint_id], now)
        for endpoint_id, bucket in buckets.items()
        if bucket is not None and taken[endpoint_id]
    }
    if left:
        save_tokens(tx, left)


# The first attempt waits for its predecessors as its endpoint's ordering says; what is sent again stands outside
# of any order (webhooks.md §4.6).
_IN_ORDER: Final = """(d.ordering = 0 or (d.ordering = 1 and d.attempts > 0) or not exists (
              select 1 from webhook_delivery e
               where e.endpoint_id = d.endpoint_id and e.object_key = d.object_key and e.id < d.id
                 and e.state in (0, 1) and e.ordering > 0 and (d.ordering = 2 or e.attempts = 0)))"""

# How many rows a lane has room for depends on the lane, which a limit in SQLite may not: there the places in a list of
# the due rows are compared with it. On PostgreSQL what is picked is an array, because the planner takes a join with it
# for one with a third of a long queue, and reads the whole table.
_CLAIM_LANES: Final = {
    "postgres": f"""
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
     where d.id = any(array(select id from picked))
    returning d.id, d.endpoint_id""",
    "sqlite": f"""
    update webhook_delivery
       set state = 1, claim_gen = claim_gen + 1, lease_owner = :worker, lease_until = :lease_until
     where id in (
       select place.value
         from {{grants}} g,
              json_each((select json_group_array(due.id)
                           from (select d.id
                                   from webhook_delivery d
                                  where d.endpoint_id = g.endpoint_id and d.state = 0 and d.klass = :klass
                                    and d.due_at <= :now and {_IN_ORDER}
                                  order by d.due_at, d.id
                                  limit :most) due)) place
        where place.key < min(g.most, g.cap - (select count(*) from webhook_delivery s
                                                where s.endpoint_id = g.endpoint_id and s.state = 1)))
    returning id, endpoint_id""",
}


def _claim_in_lanes(
    tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant, lease_until: Instant
) -> list[tuple[int, int]]:
    """Claim class by class, all lanes in one statement each."""
    columns = {"endpoint_id": "bigint", "cap": "bigint", "most": "bigint"}
    sql = _CLAIM_LANES[tx.dialect].format(grants=row_set(tx, "grants", columns))
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
            found = tx.all(
                sql,
                grants=rows(here),
                klass=int(klass),
                now=now,
                worker=worker,
                lease_until=lease_until,
                **({} if tx.dialect == "postgres" else {"most": max(most for _, _, most in here)}),
            )
            for row in found:
                taken.append((int(row["id"]), int(row["endpoint_id"])))
                left[int(row["endpoint_id"])] -= 1
    return taken
