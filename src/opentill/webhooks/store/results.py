"""Leases, verdicts and the attempt log.

Completions are fenced: `claim_gen` rises with every claim, and what was sent under an older one changes nothing any
more (webhooks.md §5.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentill.db import Row, Tx
from opentill.db.bulk import among, insert, numbers, row_set, rows
from opentill.db.dialect import skip_locked
from opentill.kernel.clock import Instant
from opentill.webhooks.model import DeliveryState

RECLAIM_ROWS_MAX: Final = 200
FOREVER: Final = 2**62

ATTEMPT_COLUMNS: Final = {
    "public_id": "text",
    "delivery_id": "bigint",
    "endpoint_id": "bigint",
    "number": "bigint",
    "claim_gen": "bigint",
    "started_at": "bigint",
    "duration_us": "bigint",
    "outcome": "text",
    "status": "bigint",
    "fenced": "bigint",
    "detail": "text",
    "body": "bytea",
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


def extend_leases(tx: Tx, delivery_ids: Iterable[int], *, worker: str, lease_until: Instant) -> int:
    """Extend the leases of deliveries that a worker still holds; return how many."""
    return tx.run(
        f"""
        update webhook_delivery set lease_until = :lease_until
         where state = 1 and lease_owner = :worker and id {among(tx, "ids")}
        """,
        worker=worker,
        ids=numbers(tx, delivery_ids),
        lease_until=lease_until,
    )


def lapsed(tx: Tx, *, now: Instant | None) -> list[Row]:
    """Lock and return rows whose worker did not report until *now*; None returns all that are being sent."""
    return list(
        tx.all(
            f"""
            select id, endpoint_id, claim_gen, attempts, attempts_max, lost, lease_owner, lease_until,
                   schedule_from
              from webhook_delivery
             where state = 1 and lease_until <= :until
             order by lease_until
             limit :most{skip_locked(tx)}
            """,
            until=FOREVER if now is None else now,
            most=RECLAIM_ROWS_MAX,
        )
    )


def settle(tx: Tx, verdicts: Iterable[Sequence[object]]) -> dict[tuple[int, int], DeliveryState]:
    """Write verdicts (in the order of `VERDICT_COLUMNS`); return the new states by claim (id, generation).

    Claims that no longer held are left out, and changed nothing. What was delivered once stays delivered.
    """
    found = tx.all(
        f"""
        update webhook_delivery
           set state = case when v.state = 3 and webhook_delivery.delivered_at is not null then 2 else v.state end,
               delivered_at = case when v.state = 2 then coalesce(webhook_delivery.delivered_at, v.finished_at)
                                   else webhook_delivery.delivered_at end,
               attempts = webhook_delivery.attempts + v.counted, lost = v.lost,
               due_at = coalesce(v.due_at, webhook_delivery.due_at),
               klass = coalesce(v.klass, webhook_delivery.klass),
               reason = v.reason, lease_owner = null, lease_until = null, finished_at = v.finished_at,
               last_status = coalesce(v.last_status, webhook_delivery.last_status),
               last_outcome = coalesce(v.last_outcome, webhook_delivery.last_outcome)
          from {row_set(tx, "verdicts", VERDICT_COLUMNS)} v
         where webhook_delivery.id = v.id and webhook_delivery.claim_gen = v.claim_gen
           and webhook_delivery.state = 1
        returning webhook_delivery.id, webhook_delivery.claim_gen, webhook_delivery.state
        """,
        verdicts=rows(verdicts),
    )
    return {(int(row["id"]), int(row["claim_gen"])): DeliveryState(row["state"]) for row in found}


def insert_attempts(tx: Tx, attempts: Sequence[Mapping[str, Any]]) -> None:
    """Append to the attempt log."""
    insert(tx, "webhook_attempt", ATTEMPT_COLUMNS, attempts)
