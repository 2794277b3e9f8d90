"""Pausing, and going back into service with or without what was missed (webhooks.md §5.7)."""

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.webhooks.model import IN_SERVICE, OWNER, By, Dialect, Endpoint, EndpointState, Recover
from opentill.webhooks.service.endpoints import SET_ASIDE_ROWS_MAX, lock, note
from opentill.webhooks.service.refusals import EndpointNotFound
from opentill.webhooks.store import deliveries, outbox, replays
from opentill.webhooks.store import endpoints as store


def set_active(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    active: bool,
    ids: Ids,
    now: Instant,
    recover: Recover = Recover.NONE,
    since: Instant | None = None,
    by: By = OWNER,
) -> Endpoint:
    """Pause an endpoint, or take it back into service and decide about what waits and what was held meanwhile.

    Raises `EndpointNotFound`.
    """
    if active and recover is not Recover.NONE:
        outbox.await_planner(tx)  # which may be holding events for an endpoint it has seen out of service
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    if active == (endpoint.state in IN_SERVICE):
        return endpoint
    if active:
        state = _decide(tx, endpoint, recover, since, ids=ids, now=now, by=by)
    else:
        replays.cancel_activating(tx, endpoint.id, now=now)
        state = EndpointState.PAUSED
    store.set_state(tx, endpoint.id, state, reason=None, now=now)
    before: dict[str, object] = {"before": {"state": endpoint.state.name.lower()}}
    detail = before | ({"recover": str(recover), "since": since} if active else {})
    note(tx, by, "webhook.activate" if active else "webhook.pause", endpoint, detail, now=now)
    changed = store.get(tx, endpoint.id)
    if changed is None:
        raise EndpointNotFound
    return changed


def _decide(
    tx: Tx, endpoint: Endpoint, recover: Recover, since: Instant | None, *, ids: Ids, now: Instant, by: By
) -> EndpointState:
    """Set the old rows aside or let them go out; return the state the endpoint may have at once."""
    until_id = deliveries.newest_id(tx, endpoint.id)
    if recover is Recover.NONE and deliveries.set_aside(tx, endpoint.id, most=SET_ASIDE_ROWS_MAX) < SET_ASIDE_ROWS_MAX:
        return EndpointState.ACTIVE
    replays.insert_activating(
        tx,
        f"rpl_{ids.timed_hex()}",
        endpoint.id,
        recover=recover,
        since=since,
        until_id=until_id,
        created_by=by.actor,
        now=now,
    )
    return EndpointState.ACTIVE if recover is Recover.ALL else EndpointState.ACTIVATING
