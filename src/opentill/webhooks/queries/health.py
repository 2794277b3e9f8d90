"""Where the engine stands, and what nobody looks after any more (webhooks.md §14)."""

from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx
from opentill.kernel.clock import MINUTE, Instant
from opentill.webhooks.model import Klass
from opentill.webhooks.queries.lanes import lanes_with_work

PLAN_GRACE: Final = MINUTE
DUE_GRACE: Final = 10 * MINUTE
LEASE_GRACE: Final = MINUTE


def oldest_due_us(tx: ReadTx, *, now: Instant) -> int:
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


def workers_seen_at(tx: ReadTx) -> Instant | None:
    """Return when a worker of any process last said it is alive; None if none ever did."""
    row = tx.one_or_none("select max(seen_at) as seen_at from worker_heartbeat")
    return None if row is None or row["seen_at"] is None else Instant(row["seen_at"])
