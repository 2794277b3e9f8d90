"""Sending many again: jobs are started, cancelled and resumed here; `replaying` steps them (webhooks.md §5.8)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.webhooks.model import OWNER, By, DeliveryState, Dialect, Endpoint
from opentill.webhooks.replaying import ALL, MATCHING, MISSING
from opentill.webhooks.service.endpoints import find, lock, note
from opentill.webhooks.service.refusals import ReplayNotFound
from opentill.webhooks.store import deliveries, outbox
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import replays as store
from opentill.webhooks.store.replays import Replay, ReplayState

RATE_MAX: Final = 500
LISTED_MAX: Final = 50
RESENDABLE: Final = (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.HELD)


def recover(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    since: Instant | None,
    ids: Ids,
    now: Instant,
    rate_per_s: int,
    by: By = OWNER,
) -> str:
    """Send what an endpoint did not get since an instant; return the id of the job, `rpl_…`.

    None is as far back as events are kept, also from before it existed. Raises `EndpointNotFound` or `Invalid`.
    """
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    return _start(tx, endpoint, {"kind": MISSING, "since": since or 0}, rate_per_s=rate_per_s, ids=ids, now=now, by=by)


def replay_all(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    since: Instant,
    ids: Ids,
    now: Instant,
    rate_per_s: int,
    by: By = OWNER,
) -> str:
    """Send everything since an instant once more, delivered or not: for a receiver that lost its data."""
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    return _start(tx, endpoint, {"kind": ALL, "since": since}, rate_per_s=rate_per_s, ids=ids, now=now, by=by)


def resend_matching(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    ids: Ids,
    now: Instant,
    states: Sequence[DeliveryState] = RESENDABLE,
    event_name: str | None = None,
    rate_per_s: int,
    by: By = OWNER,
) -> str:
    """Give the deliveries that a filter of the log shows one more attempt each."""
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    chosen = [int(state) for state in states if state in RESENDABLE]
    selection = {"kind": MATCHING, "states": chosen, "event": event_name}
    return _start(tx, endpoint, selection, rate_per_s=rate_per_s, ids=ids, now=now, by=by)


def events_since(tx: ReadTx, endpoint: Endpoint, *, since: Instant) -> int:
    """Return how many events a replay of everything since then looks at, for the question before it."""
    return outbox.count_since(tx, endpoint.owner, endpoint.audience, since)


def of_endpoint(tx: ReadTx, *, owner: Owner, dialect: Dialect, endpoint_id: int | str) -> list[Replay]:
    """Return an endpoint's jobs with their progress, newest first. Raises `EndpointNotFound`."""
    return store.of_endpoint(tx, find(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id).id, limit=LISTED_MAX)


def cancel_replay(tx: Tx, *, owner: Owner, replay_id: str, now: Instant, by: By = OWNER) -> None:
    """Stop a job where it is; what it queued stays queued. Raises `ReplayNotFound`."""
    replay = _replay(tx, owner, replay_id)
    if replay.state is ReplayState.RUNNING:
        store.finish(tx, replay.id, ReplayState.CANCELLED, now=now)
        _note(tx, by, "webhook.replay.cancel", replay, now=now)


def resume_replay(tx: Tx, *, owner: Owner, replay_id: str, now: Instant, by: By = OWNER) -> None:
    """Let a cancelled job go on from where it was. Raises `ReplayNotFound`."""
    replay = _replay(tx, owner, replay_id)
    if replay.state is ReplayState.CANCELLED:
        store.resume(tx, replay.id, now=now)
        _note(tx, by, "webhook.replay.resume", replay, now=now)


def _start(
    tx: Tx, endpoint: Endpoint, selection: Mapping[str, Any], *, rate_per_s: int, ids: Ids, now: Instant, by: By
) -> str:
    if not 1 <= rate_per_s <= RATE_MAX:
        text = f"rate must be between 1 and {RATE_MAX} a second"
        raise Invalid([Fault("rate_per_s", "VALIDATION_FAILED", text)])
    by_delivery = selection["kind"] == MATCHING
    until = deliveries.newest_id(tx, endpoint.id) if by_delivery else outbox.newest_seq(tx, endpoint.owner)
    replay_id = f"rpl_{ids.timed_hex()}"
    store.insert(
        tx, replay_id, endpoint.id, selection, until=until, rate_per_s=rate_per_s, created_by=by.actor, now=now
    )
    note(tx, by, "webhook.replay", endpoint, {"replay": replay_id, **selection}, now=now)
    return replay_id


def _replay(tx: Tx, owner: Owner, replay_id: str) -> Replay:
    replay = store.lock(tx, owner=owner, replay_id=replay_id)
    if replay is None or replay.kind in (store.ACTIVATE, store.CANCEL):
        raise ReplayNotFound
    return replay


def _note(tx: Tx, by: By, action: str, replay: Replay, *, now: Instant) -> None:
    endpoint = endpoint_store.get(tx, replay.endpoint_id)
    if endpoint is not None:
        note(tx, by, action, endpoint, {"replay": replay.id}, now=now)
