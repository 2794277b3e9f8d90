"""What lanes learn from results: breakers, failure clocks, and endpoints that are disabled (webhooks.md §5.5, §5.6)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.webhooks import notices, rules
from opentill.webhooks.model import IN_SERVICE, Endpoint, EndpointState, Kind, Result
from opentill.webhooks.rules import Lane, Notice, Patience
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import lanes as store

SAYING_NOTHING: Final = (rules.LOST, rules.DROPPED)  # outcomes that say nothing of the receiver


def taught(results: Iterable[Result]) -> set[int]:
    """Return the lanes that may learn from results."""
    return {result.endpoint_id for result in results if result.outcome not in SAYING_NOTHING}


def learn(
    tx: Tx,
    results: Sequence[Result],
    before: Mapping[int, Lane],
    endpoints: Mapping[int, Endpoint],
    *,
    ids: Ids,
    patience: Patience,
) -> set[int]:
    """Let each lane, locked as it was *before*, learn from its results; warn its owner, and return the endpoints that
    were disabled.
    """
    telling = [result for result in results if result.outcome not in SAYING_NOTHING]
    if not telling:
        return set()
    lanes, disabled = dict(before), set[int]()
    for result in sorted(telling, key=lambda r: r.ended_at):
        endpoint = endpoints[result.endpoint_id]
        lane = _after(lanes[endpoint.id], result, endpoint)
        if endpoint.id not in disabled and _is_judged(endpoint):
            reason = _reason_to_disable(lane, result, patience)
            if reason is None:
                lane = _warned(tx, lane, result, endpoint, ids=ids, patience=patience)
            elif _disabled(tx, endpoint, reason, at=result.ended_at):
                disabled.add(endpoint.id)
                reach("disable")
                notices.disabled(tx, endpoint, lane, result, reason=reason, ids=ids)
        lanes[endpoint.id] = lane
    store.save_lanes(tx, [lane for endpoint_id, lane in lanes.items() if lane != before[endpoint_id]])
    return disabled


def _after(lane: Lane, result: Result, endpoint: Endpoint) -> Lane:
    return rules.after_attempt(
        lane,
        result.outcome,
        at=result.ended_at,
        max_in_flight=endpoint.options.max_in_flight,
        retry_after=result.retry_after,
    )


def _is_judged(endpoint: Endpoint) -> bool:
    """Callback addresses are nobody's to switch off; what is out of service already stays as it is."""
    return endpoint.kind is not Kind.CALLBACK and endpoint.state in IN_SERVICE


def _reason_to_disable(lane: Lane, result: Result, patience: Patience) -> str | None:
    if result.outcome == rules.GONE:
        return rules.GONE
    return "failing" if rules.must_disable(lane, at=result.ended_at, patience=patience) else None


def _disabled(tx: Tx, endpoint: Endpoint, reason: str, *, at: Instant) -> bool:
    """Disable an endpoint, unless its owner has taken it out of service meanwhile; tell whether that was done."""
    return endpoint_store.set_state(
        tx, endpoint.id, EndpointState.DISABLED, reason=reason, now=at, among_states=IN_SERVICE
    )


def _warned(tx: Tx, lane: Lane, result: Result, endpoint: Endpoint, *, ids: Ids, patience: Patience) -> Lane:
    """Give the notice a lane has come to, if it was not given yet, and remember it."""
    if result.outcome == rules.OK:
        if lane.notice_step == Notice.NONE:
            return lane
        notices.recovered(tx, endpoint, lane, result, ids=ids)
        return lane._replace(notice_step=Notice.NONE)
    due = rules.notice_due(lane, at=result.ended_at, patience=patience)
    if due <= lane.notice_step:
        return lane
    notices.failing(tx, endpoint, lane, result, notice=due, patience=patience, ids=ids)
    return lane._replace(notice_step=due)
