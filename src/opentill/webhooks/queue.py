"""Granting deliveries to workers, keeping their leases, and taking back what was lost (webhooks.md §5.3, §5.4)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

import structlog

from opentill.db import DatabaseError, ReadTx, Tx
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.webhooks import completion, rules
from opentill.webhooks.bodies import render
from opentill.webhooks.model import LEASE_S, Claimed, Endpoint, Job, Kind, Result, SealedSecret
from opentill.webhooks.routing import signer_of
from opentill.webhooks.rules import Grant
from opentill.webhooks.store import claims, deliveries, outbox, results
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import keys as key_store
from opentill.webhooks.store.endpoints import Signing

CLAIM_ROWS_MAX: Final = 64
COMPLETE_ROWS_MAX: Final = 64

log = structlog.get_logger("opentill.webhooks")


def claim(tx: Tx, grants: Sequence[Grant], *, worker: str, now: Instant, lease_s: int = LEASE_S) -> list[Job]:
    """Take due deliveries under a lease and return them ready to send."""
    lease_until = after(now, lease_s * SECOND)
    taken = dict(claims.claim(tx, grants, worker=worker, now=now, lease_until=lease_until))
    if not taken:
        return []
    endpoint_ids = set(taken.values())
    claimed, endpoints, signing = tx.together(
        lambda tx: deliveries.claimed(tx, taken),
        lambda tx: endpoint_store.by_ids(tx, endpoint_ids),
        lambda tx: endpoint_store.secrets_of(tx, endpoint_ids, now=now),
    )
    return jobs_of(tx, claimed, endpoints, signing, now=now)


def jobs(tx: ReadTx, delivery_ids: Iterable[int], *, now: Instant) -> list[Job]:
    """Return claimed deliveries with their endpoints, secrets and bytes."""
    claimed = deliveries.claimed(tx, delivery_ids)
    endpoint_ids = {c.endpoint_id for c in claimed}
    signing = endpoint_store.secrets_of(tx, endpoint_ids, now=now)
    return jobs_of(tx, claimed, endpoint_store.by_ids(tx, endpoint_ids), signing, now=now)


def jobs_of(
    tx: ReadTx, claimed: Sequence[Claimed], endpoints: Mapping[int, Endpoint], signing: Signing, *, now: Instant
) -> list[Job]:
    """Return claimed deliveries of known endpoints ready to send, *signing* what these have to sign with.

    One whose bytes cannot be made is left out, and lost like one whose worker died: it keeps no other waiting.
    """
    bodies = {c.id: c.body if c.body is not None else _rendered_again(tx, c) for c in claimed}
    signers = _signers(tx, claimed, endpoints)
    secrets: dict[int, list[SealedSecret]] = defaultdict(list)
    if not endpoints.keys() >= {signer.id for signer in signers.values()}:  # those of callbacks are other endpoints
        signing = endpoint_store.secrets_of(tx, {signer.id for signer in signers.values()}, now=now)
    found, merchants, keys = signing
    for secret in found:
        secrets[secret.endpoint_id].append(secret)
    strangers = {c.owner.merchant_id for c in claimed} - merchants.keys()
    if strangers:
        merchants |= endpoint_store.merchants(tx, strangers)
        keys |= key_store.signing(tx, strangers, now=now)

    made = []
    for c in claimed:
        body = bodies[c.id]
        if body is None:
            continue
        merchant, signer = merchants[c.owner.merchant_id], signers.get(c.id)
        made.append(
            Job(
                claimed=c,
                endpoint=endpoints[c.endpoint_id],
                signer=signer,
                secrets=(merchant.default_secret,) if signer is None else tuple(secrets[signer.id][:2]),
                outbound_allow=merchant.outbound_allow,
                body=body,
                keys=keys.get(c.owner, ()),
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


def _rendered_again(tx: ReadTx, claimed: Claimed) -> bytes | None:
    """Return bytes that are no longer stored, None where they cannot be made. The renderer gives the same as ever."""
    try:
        event = outbox.by_seq(tx, claimed.event_seq)
        body = None if event is None else render(event, claimed.variant)
    except DatabaseError:
        raise
    except Exception as fault:  # whatever it is, it belongs to this delivery
        log.exception("queue.unsendable", delivery=claimed.public_id, error=repr(fault))
        return None
    if body is None:
        log.error("queue.unsendable", delivery=claimed.public_id, error="neither payload nor event is left")
    return body


def reclaim(tx: Tx, *, now: Instant, ids: Ids, chance: Random, everything: bool = False) -> int:
    """Make due again what a worker took and never reported; return how many deliveries that is.

    *everything* does not wait for leases to lapse: for the start of a process that is the only one.
    """
    lost = [
        Result(
            delivery_id=int(row["id"]),
            endpoint_id=int(row["endpoint_id"]),
            claim_gen=int(row["claim_gen"]),
            attempts=int(row["attempts"]),
            attempts_max=row["attempts_max"],
            lost=int(row["lost"]),
            schedule_from=int(row["schedule_from"]),
            outcome=rules.LOST,
            started_at=now,
            duration_us=0,
            detail={"worker": row["lease_owner"], "error": "The worker did not report."},
        )
        for row in results.lapsed(tx, now=None if everything else now)
    ]
    if lost:
        reach("reclaim")
        completion.complete(tx, lost, ids=ids, chance=chance)
    return len(lost)


def heartbeat(tx: Tx, delivery_ids: Iterable[int], *, worker: str, now: Instant, lease_s: int = LEASE_S) -> int:
    """Extend the leases of what a worker is sending or about to record; return how many there are.

    What it lost on the way it names no more, so that its lease lapses although the worker lives.
    """
    return results.extend_leases(tx, delivery_ids, worker=worker, lease_until=after(now, lease_s * SECOND))
