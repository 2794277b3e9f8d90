"""What owners and operators are told of endpoints and deliveries, as operational events (webhooks.md §5.6).

They are recorded in the transaction of what they tell, so that no crash loses one, and none is told twice. Screens
list them; operational endpoints get them. Those about operational endpoints themselves are told by mail only.
"""

from collections.abc import Mapping, Sequence

from opentill.db import Tx
from opentill.events import Audience, Event, record
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.webhooks import rules
from opentill.webhooks.model import Endpoint, EndpointState, Kind, Result
from opentill.webhooks.rules import Lane, Notice, Patience
from opentill.webhooks.store import deliveries

FAILING = "endpoint.failing"
RECOVERED = "endpoint.recovered"
DISABLED = "endpoint.disabled"
DEAD = "delivery.dead"


def failing(
    tx: Tx, endpoint: Endpoint, lane: Lane, result: Result, *, notice: Notice, patience: Patience, ids: Ids
) -> None:
    """Tell that an endpoint fails, and since when; the last warning says when it will be disabled."""
    is_last = notice is Notice.WILL_BE_DISABLED
    disable_at = rules.disable_at(lane, patience) if is_last else None
    _record(tx, FAILING, endpoint, lane, result, notice=f"N{int(notice)}", disable_at=disable_at, ids=ids)


def recovered(tx: Tx, endpoint: Endpoint, lane: Lane, result: Result, *, ids: Ids) -> None:
    """Tell that an endpoint works again."""
    _record(tx, RECOVERED, endpoint, lane, result, notice="N6", ids=ids)


def disabled(tx: Tx, endpoint: Endpoint, lane: Lane, result: Result, *, reason: str, ids: Ids) -> None:
    """Tell that an endpoint was disabled; its events are kept."""
    _record(tx, DISABLED, endpoint, lane, result, notice="N5", reason=reason, state=EndpointState.DISABLED, ids=ids)


def unread(tx: Tx, endpoint: Endpoint, *, since: Instant, hours: int, notice: Notice, at: Instant, ids: Ids) -> None:
    """Tell that nobody reads a feed on which something waits, and since when."""
    said = f"Nobody has read the feed for {hours} hours, and events wait in it."
    document = _document(endpoint, since, 0, said, notice=f"N{int(notice)}")
    _write(tx, FAILING, endpoint, "endpoint", endpoint.public_id, document, at=at, ids=ids)


def read_again(tx: Tx, endpoint: Endpoint, *, at: Instant, ids: Ids) -> None:
    """Tell that a feed is read again."""
    document = _document(endpoint, None, 0, None, notice="N6")
    _write(tx, RECOVERED, endpoint, "endpoint", endpoint.public_id, document, at=at, ids=ids)


def dead(tx: Tx, results: Sequence[Result], endpoints: Mapping[int, Endpoint], *, ids: Ids) -> None:
    """Tell of deliveries whose schedules are used up."""
    told = {r.delivery_id: r for r in results if endpoints[r.endpoint_id].kind is not Kind.OPERATIONAL}
    for row in deliveries.described(tx, told):
        result = told[int(row["id"])]
        endpoint = endpoints[result.endpoint_id]
        if row["origin_is_test"]:
            continue
        document = {
            "delivery": {
                "id": row["public_id"],
                "endpoint_id": endpoint.public_id,
                "event_id": row["event_id"],
                "event_type": row["wire_type"],
                "attempts": int(row["attempts"]),
                "last_error": error_of(result),
                "url": row["target_url"] or endpoint.url,
            },
            "notice": "N7",
        }
        _write(tx, DEAD, endpoint, "delivery", row["public_id"], document, at=result.ended_at, ids=ids)


def error_of(result: Result) -> str | None:
    """Return in words why an attempt failed."""
    if result.outcome == rules.OK:
        return None
    said = None if result.detail is None else result.detail.get("error")
    if said is None and result.status is not None:
        return f"The receiver answered {result.status}."
    return None if said is None else str(said)


def _record(
    tx: Tx,
    type_: str,
    endpoint: Endpoint,
    lane: Lane,
    result: Result,
    *,
    notice: str,
    ids: Ids,
    disable_at: Instant | None = None,
    reason: str | None = None,
    state: EndpointState | None = None,
) -> None:
    document = _document(
        endpoint,
        lane.failing_since,
        lane.fail_run,
        error_of(result),
        notice=notice,
        disable_at=disable_at,
        reason=reason,
        state=state,
    )
    _write(tx, type_, endpoint, "endpoint", endpoint.public_id, document, at=result.ended_at, ids=ids)


def _document(
    endpoint: Endpoint,
    failing_since: Instant | None,
    failed_attempts: int,
    last_error: str | None,
    *,
    notice: str,
    disable_at: Instant | None = None,
    reason: str | None = None,
    state: EndpointState | None = None,
) -> dict[str, object]:
    return {
        "endpoint": {
            "id": endpoint.public_id,
            "url": endpoint.url,
            "state": (endpoint.state if state is None else state).name.lower(),
            "failing_since": failing_since,
            "failed_attempts": failed_attempts,
            "last_error": last_error,
            "disable_at": disable_at,
        },
        "notice": notice,
        "reason": reason,
        "by_mail_only": endpoint.kind is Kind.OPERATIONAL,
    }


def _write(
    tx: Tx,
    type_: str,
    endpoint: Endpoint,
    object_type: str,
    object_id: str,
    document: Mapping[str, object],
    *,
    at: Instant,
    ids: Ids,
) -> None:
    record(
        tx,
        Event(
            type=type_,
            owner=endpoint.owner,
            audience=Audience.OPERATIONAL,
            object_type=object_type,
            object_id=object_id,
            at=at,
            document=document,
        ),
        ids=ids,
    )
