"""Granting deliveries to workers and taking their results back (webhooks.md §5.3, §5.4, §5.6)."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.ids import Ids
from opentill.webhooks import rules
from opentill.webhooks.bodies import render
from opentill.webhooks.model import (
    Claimed,
    DeliveryState,
    Endpoint,
    EndpointState,
    Job,
    Kind,
    Result,
    SealedSecret,
)
from opentill.webhooks.routing import signer_of
from opentill.webhooks.rules import Grant, Verdict
from opentill.webhooks.schedules import schedule_of
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import outbox
from opentill.webhooks.store import queue as store

LEASE_S: Final = 60
HEARTBEAT_S: Final = 15
CLAIM_ROWS_MAX: Final = 64
COMPLETE_ROWS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completion did: which deliveries had been taken over meanwhile, and what became of the others."""

    fenced: frozenset[int]
    dead: int
    disabled: frozenset[int]


def claim(tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant) -> list[Job]:
    """Take due deliveries under a lease and return them ready to send."""
    lease_until = after(now, LEASE_S * SECOND)
    taken = store.claim(tx, grants, worker=worker, now=now, lease_until=lease_until)
    return jobs(tx, (delivery_id for delivery_id, _ in taken), now=now) if taken else []


def jobs(tx: ReadTx, delivery_ids: Iterable[int], *, now: Instant) -> list[Job]:
    """Return claimed deliveries with their endpoints, secrets and bytes."""
    claimed = store.claimed(tx, delivery_ids)
    return jobs_of(tx, claimed, endpoint_store.by_ids(tx, {c.endpoint_id for c in claimed}), now=now)


def jobs_of(tx: ReadTx, claimed: Sequence[Claimed], endpoints: Mapping[int, Endpoint], *, now: Instant) -> list[Job]:
    """Return claimed deliveries of known endpoints ready to send."""
    signers = _signers(tx, claimed, endpoints)
    secrets: dict[int, list[SealedSecret]] = defaultdict(list)
    found, merchants = endpoint_store.secrets_of(tx, {signer.id for signer in signers.values()}, now=now)
    for secret in found:
        secrets[secret.endpoint_id].append(secret)
    strangers = {c.owner.merchant_id for c in claimed} - merchants.keys()
    if strangers:
        merchants |= endpoint_store.merchants(tx, strangers)

    made = []
    for c in claimed:
        merchant, signer = merchants[c.owner.merchant_id], signers.get(c.id)
        made.append(
            Job(
                claimed=c,
                endpoint=endpoints[c.endpoint_id],
                signer=signer,
                secrets=(merchant.default_secret,) if signer is None else tuple(secrets[signer.id][:2]),
                outbound_allow=merchant.outbound_allow,
                body=c.body if c.body is not None else _rendered_again(tx, c),
            )
        )
    return made


def _signers(tx: ReadTx, claimed: Sequence[Claimed], endpoints: Mapping[int, Endpoint]) -> dict[int, Endpoint]:
    """Return who signs each delivery; callback deliveries that nobody signs are left out."""
    callbacks = [c for c in claimed if endpoints[c.endpoint_id].kind is Kind.CALLBACK]
    signers = {c.id: endpoints[c.endpoint_id] for c in claimed if endpoints[c.endpoint_id].kind is not Kind.CALLBACK}
    if callbacks:
        registered = endpoint_store.of_merchants(tx, {c.owner.merchant_id for c in callbacks})
        for c in callbacks:
            own = [endpoint for endpoint in registered if endpoint.owner == c.owner]
            signer = signer_of(str(c.target_url), own)
            if signer is not None:
                signers[c.id] = signer
    return signers


def _rendered_again(tx: ReadTx, claimed: Claimed) -> bytes:
    """Return bytes that are no longer stored. The renderer gives the same as ever."""
    event = outbox.by_seq(tx, claimed.event_seq)
    if event is None:
        raise LookupError(f"{claimed.public_id} has neither payload nor event")
    return render(event, claimed.variant)


def complete(tx: Tx, results: Sequence[Result], *, ids: Ids, chance: Random) -> Completed:
    """Record results: deliveries, attempt log, lanes. What another worker took over meanwhile is logged only."""
    endpoints = endpoint_store.by_ids(tx, {result.endpoint_id for result in results})
    verdicts = {result.claim: _verdict(result, endpoints[result.endpoint_id], chance) for result in results}
    held = store.settle(tx, (_verdict_row(result, verdicts[result.claim]) for result in results))
    store.insert_attempts(
        tx,
        [_attempt_row(r, verdicts[r.claim], r.claim not in held, ids) for r in results if _is_logged(r)],
    )
    disabled = _update_lanes(tx, [r for r in results if r.claim in held], endpoints)
    return Completed(
        fenced=frozenset(r.delivery_id for r in results if r.claim not in held),
        dead=sum(verdicts[claim].state is DeliveryState.DEAD for claim in held),
        disabled=frozenset(disabled),
    )


def reclaim(tx: Tx, *, now: Instant, ids: Ids, chance: Random, everything: bool = False) -> int:
    """Make due again what a worker took and never reported; return how many deliveries that is.

    *everything* does not wait for leases to lapse: for the start of a process that is the only one.
    """
    results = [
        Result(
            delivery_id=int(row["id"]),
            endpoint_id=int(row["endpoint_id"]),
            claim_gen=int(row["claim_gen"]),
            attempts=int(row["attempts"]),
            attempts_max=row["attempts_max"],
            lost=int(row["lost"]),
            outcome=rules.LOST,
            started_at=now,
            duration_us=0,
            detail={"worker": row["lease_owner"], "error": "The worker did not report."},
        )
        for row in store.lapsed(tx, now=None if everything else now)
    ]
    if results:
        complete(tx, results, ids=ids, chance=chance)
    return len(results)


def heartbeat(tx: Tx, *, worker: str, now: Instant) -> int:
    """Extend this worker's leases; return how many there are."""
    return store.extend_leases(tx, worker=worker, lease_until=after(now, LEASE_S * SECOND))


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
        "detail": json.dumps(detail, ensure_ascii=False, separators=(",", ":")),
        "body": result.body,
    }


def _update_lanes(tx: Tx, results: Sequence[Result], endpoints: Mapping[int, Endpoint]) -> set[int]:
    """Let each lane learn from its results; disable the endpoints that are gone or failed for days."""
    telling = [result for result in results if result.outcome not in (rules.LOST, rules.DROPPED)]
    if not telling:
        return set()
    before = store.lanes(tx, {result.endpoint_id for result in telling})
    lanes, disable = dict(before), {}
    for result in sorted(telling, key=lambda r: r.ended_at):
        endpoint = endpoints[result.endpoint_id]
        lane = rules.after_attempt(
            lanes[endpoint.id],
            result.outcome,
            at=result.ended_at,
            max_in_flight=endpoint.options.max_in_flight,
            retry_after=result.retry_after,
        )
        lanes[endpoint.id] = lane
        if endpoint.kind is Kind.CALLBACK or endpoint.state not in (EndpointState.ACTIVE, EndpointState.ACTIVATING):
            continue
        if result.outcome == rules.GONE:
            disable[endpoint.id] = rules.GONE
        elif rules.must_disable(lane, at=result.ended_at):
            disable[endpoint.id] = "failing"
    store.save_lanes(tx, [lane for endpoint_id, lane in lanes.items() if lane != before[endpoint_id]])
    for endpoint_id, reason in disable.items():
        now = max(r.ended_at for r in telling if r.endpoint_id == endpoint_id)
        endpoint_store.set_state(tx, [endpoint_id], EndpointState.DISABLED, reason=reason, now=now)
    return set(disable)
