"""Taking results back: what became of each delivery, the attempt log, and what each lane learns (webhooks.md §5.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from opentill.db import Tx
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.json_text import compact
from opentill.webhooks import lessons, notices, rules
from opentill.webhooks.model import DeliveryState, Endpoint, Result
from opentill.webhooks.rules import PATIENCE, Patience, Verdict
from opentill.webhooks.schedules import schedule_of
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import lanes
from opentill.webhooks.store import results as store


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completion did: which deliveries had been taken over meanwhile, and what became of the others."""

    fenced: frozenset[int]
    dead: int
    disabled: frozenset[int]


def complete(
    tx: Tx, results: Sequence[Result], *, ids: Ids, chance: Random, patience: Patience = PATIENCE
) -> Completed:
    """Record results: deliveries, attempt log, lanes, notices. What was taken over meanwhile is logged only."""
    endpoints = endpoint_store.by_ids(tx, {result.endpoint_id for result in results})
    verdicts = {result.claim: _verdict(result, endpoints[result.endpoint_id], chance) for result in results}
    verdict_rows = [_verdict_row(result, verdicts[result.claim]) for result in results]
    held, known_lanes = tx.together(
        lambda tx: store.settle(tx, verdict_rows), lambda tx: lanes.lanes(tx, lessons.taught(results))
    )
    store.insert_attempts(
        tx,
        [_attempt_row(r, verdicts[r.claim], r.claim not in held, ids) for r in results if _is_logged(r)],
    )
    counted = [r for r in results if r.claim in held]
    reach("complete.flushing")
    disabled = lessons.learn(tx, counted, known_lanes, endpoints, ids=ids, patience=patience)
    dead = [r for r in counted if held[r.claim] is DeliveryState.DEAD]
    if dead:
        notices.dead(tx, dead, endpoints, ids=ids)
    return Completed(
        fenced=frozenset(r.delivery_id for r in results if r.claim not in held),
        dead=len(dead),
        disabled=frozenset(disabled),
    )


def _verdict(result: Result, endpoint: Endpoint, chance: Random) -> Verdict:
    schedule = schedule_of(endpoint.dialect, endpoint.options.schedule)
    return rules.judge(result, dialect=endpoint.dialect, schedule=schedule, chance=chance)


def _verdict_row(result: Result, verdict: Verdict) -> Sequence[object]:
    """Return the values of `VERDICT_COLUMNS`."""
    is_final = verdict.state is not DeliveryState.DUE
    return (
        result.delivery_id,
        result.claim_gen,
        int(verdict.state),
        verdict.due_at,
        None if verdict.klass is None else int(verdict.klass),
        verdict.reason,
        int(verdict.counted),
        result.lost + 1 if result.outcome == rules.LOST else 0,
        result.status,
        None if result.outcome == rules.DROPPED else result.outcome,
        result.ended_at if is_final else None,
    )


def _is_logged(result: Result) -> bool:
    """A claim that was given back unsent was no attempt."""
    return result.outcome != rules.DROPPED


def _attempt_row(result: Result, verdict: Verdict, fenced: bool, ids: Ids) -> dict[str, Any]:
    detail = dict(result.detail or {})
    if verdict.due_at is not None:
        detail["next"] = verdict.due_at
    return {
        "public_id": f"att_{ids.timed_hex()}",
        "delivery_id": result.delivery_id,
        "endpoint_id": result.endpoint_id,
        "number": result.number,
        "claim_gen": result.claim_gen,
        "started_at": result.started_at,
        "duration_us": result.duration_us,
        "outcome": result.outcome,
        "status": result.status,
        "fenced": int(fenced),
        "detail": compact(detail).decode(),
        "body": result.body,
    }
