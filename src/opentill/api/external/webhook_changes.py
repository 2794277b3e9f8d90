"""/webhooks/:id: reading and changing an endpoint, its secret, and what was delivered to it (pix-api.md §17.6)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from opentill.api.external import webhook_documents as documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import wrong
from opentill.api.external.fields import text, whole
from opentill.api.external.once import answered_before, once
from opentill.api.external.transactions import page_of
from opentill.api.external.webhooks import (
    DESCRIPTION_MAX,
    STATUS,
    checked_url,
    chosen_secret,
    named_events,
    shown_events,
)
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import NotFound
from opentill.merchants import queries as merchants
from opentill.outbound import AllowList
from opentill.web.engine import bounds_of, engine_of
from opentill.web.exchange import Answer
from opentill.web.routes import Operation
from opentill.webhooks import flow, service
from opentill.webhooks.model import DeliveryState, Dialect, Endpoint, EndpointState, Options
from opentill.webhooks.queries import history
from opentill.webhooks.queries.history import AttemptRow, DeliveryRow

MESSAGE_MAX: Final = 140  # characters
GRACE_S: Final = range(604_801)
GRACE_DEFAULT_S: Final = 86_400
BODY_SHOWN_BYTES: Final = 4_096
STATES: Final[Mapping[str, tuple[DeliveryState, ...]]] = {
    "pending": (DeliveryState.DUE,),
    "retrying": (DeliveryState.DUE,),
    "delivering": (DeliveryState.SENDING,),
    "succeeded": (DeliveryState.DELIVERED,),
    "failed": (DeliveryState.DEAD,),
    "held": (DeliveryState.HELD,),
    "cancelled": (DeliveryState.CANCELLED,),
}


async def show(call: ExternalCall) -> Answer:
    """Show one endpoint, without its secret."""
    endpoint = await call.dependencies.db.read(lambda tx: _endpoint(tx, call))
    return Answer(200, call.written({"worked": True, "webhook": _shown(endpoint, call)}))


async def change(call: ExternalCall) -> Answer:
    """Change what was named and leave the rest. Active again means that it is sent to again."""
    deps, owner, fields = call.dependencies, call.by.owner, call.fields
    opened = AllowList.parse(await deps.db.read(lambda tx: merchants.outbound_allow(tx, owner)))
    active = fields.get("is_active")
    if active is not None and not isinstance(active, bool):
        raise wrong("is_active", "is_active must be a boolean")

    def work(tx: Tx) -> bytes:
        before = _endpoint(tx, call)
        options = _options(call, before.options)
        url = checked_url(call, opened, insecure=options.allow_insecure) if fields.get("url") is not None else None
        named: dict[str, Any] = {"owner": owner, "dialect": Dialect.PIX, "endpoint_id": before.public_id}
        endpoint = service.change_endpoint(
            tx, **named, url=url, options=options, bounds=bounds_of(deps.settings), now=call.arrived_at
        )
        if active is not None:
            endpoint = service.set_active(tx, **named, active=active, ids=deps.ids, now=call.arrived_at)
        return call.written({"worked": True, "webhook": _shown(endpoint, call)})

    return await once(call, 200, work)


async def rotate(call: ExternalCall) -> Answer:
    """Give the endpoint a new secret; the old one signs beside it for a grace."""
    secret = chosen_secret(call.fields)
    grace_s = _grace(call.fields)
    deps = call.dependencies

    def work(tx: Tx) -> bytes:
        endpoint = _endpoint(tx, call)
        rotated = service.rotate_secret(
            tx,
            owner=call.by.owner,
            dialect=Dialect.PIX,
            endpoint_id=endpoint.public_id,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
            overlap_s=grace_s,
            secret=secret,
        )
        until = rotated.previous_until or call.arrived_at
        return call.written(
            {
                "worked": True,
                "id": endpoint.public_id,
                "secret": rotated.secret.reveal(),
                "previous_secret_expires_at": iso_seconds(until),
            }
        )

    return await once(call, 200, work)


async def test(call: ExternalCall) -> Answer:
    """Send `webhook.test` to this endpoint, whatever it subscribes to: at once, and once."""
    message = text(call.fields, "message", characters_max=MESSAGE_MAX) or service.TEST_MESSAGE
    before = await answered_before(call)
    if before is not None:
        return before
    engine = engine_of(call.dependencies)
    try:
        tested = await flow.send_test(
            engine, owner=call.by.owner, dialect=Dialect.PIX, endpoint_id=call.values["id"], message=message
        )
    except NotFound:
        raise NotFound("ENDPOINT_NOT_FOUND", "Webhook not found") from None

    def work(_tx: Tx) -> bytes:
        return call.written({"worked": True, "event_id": tested.event_id, "delivery_id": tested.delivery_id})

    return await once(call, 200, work)


async def deliveries(call: ExternalCall) -> Answer:
    """List what was sent or waits, newest first."""
    asked, number, per_page = page_of(call)
    status, event = asked.get("status") or None, asked.get("event") or None
    if status is not None and status not in STATES:
        raise wrong("status", "status is invalid")

    def read(tx: ReadTx) -> tuple[list[DeliveryRow], dict[int, AttemptRow]]:
        endpoint = _endpoint(tx, call)
        in_service = endpoint.state in service.IN_SERVICE
        shown = history.deliveries(
            tx,
            owner=call.by.owner,
            limit=per_page,
            offset=(number - 1) * per_page,
            endpoint_id=endpoint.id,
            event_name=event,
            states=_states(status, in_service=in_service),
            tried={"pending": False, "retrying": True}.get(status or ""),
        )
        attempts = history.attempts(tx, [row.id for row in shown])
        return shown, {attempt.delivery_id: attempt for attempt in attempts}

    rows, last = await call.dependencies.db.read(read)
    data = [{**_delivery(row), "last_attempt": _attempt(last.get(row.id))} for row in rows]
    return Answer(200, call.written({"worked": True, "data": data, "page": number, "per_page": per_page}))


async def delivery(call: ExternalCall) -> Answer:
    """Show one delivery with its bytes and every attempt."""

    def read(tx: ReadTx) -> tuple[DeliveryRow, list[AttemptRow], bytes | None]:
        row = _row(tx, call)
        body = history.payload(tx, event_seq=row.event_seq, variant=row.variant)
        return row, history.attempts(tx, [row.id]), body

    row, attempts, body = await call.dependencies.db.read(read)
    shown = {
        **_delivery(row),
        "last_attempt": _attempt(attempts[-1] if attempts else None),
        "body": None if body is None else body.decode(),
        "attempt_log": [_logged(attempt) for attempt in attempts],
    }
    return Answer(200, call.written({"worked": True, "delivery": shown}))


async def redeliver(call: ExternalCall) -> Answer:
    """Send the same bytes again, as a new delivery."""

    def work(tx: Tx) -> bytes:
        row = _row(tx, call)
        made, event_id = service.redeliver(
            tx,
            owner=call.by.owner,
            delivery_id=row.public_id,
            ids=call.dependencies.ids,
            now=call.arrived_at,
            dialect=Dialect.PIX,
        )
        return call.written({"worked": True, "delivery_id": made, "event_id": event_id})

    return await once(call, 200, work)


def _states(status: str | None, *, in_service: bool) -> tuple[DeliveryState, ...] | None:
    """Return the states behind a word. Where the endpoint is out of service, what is due is held."""
    if status is None or in_service:
        return STATES.get(status or "")
    others = tuple(state for state in STATES[status] if state is not DeliveryState.DUE)
    return (*others, DeliveryState.DUE) if status == "held" else others


def _endpoint(tx: ReadTx, call: ExternalCall) -> Endpoint:
    try:
        return service.find(tx, owner=call.by.owner, dialect=Dialect.PIX, endpoint_id=call.values["id"])
    except NotFound:
        raise NotFound("ENDPOINT_NOT_FOUND", "Webhook not found") from None


def _row(tx: ReadTx, call: ExternalCall) -> DeliveryRow:
    """Return the delivery of the path, if it is one of the endpoint of the path."""
    endpoint = _endpoint(tx, call)
    row = history.delivery(tx, owner=call.by.owner, public_id=call.values["delivery_id"])
    if row is None or row.endpoint_id != endpoint.id:
        raise NotFound("DELIVERY_NOT_FOUND", "Delivery not found")
    return row


def _options(call: ExternalCall, before: Options) -> Options:
    """Return the options with what the request names; null means the default."""
    fields = call.fields
    changed: dict[str, Any] = {}
    if "events" in fields:
        changed["events"] = named_events(call)
    if "description" in fields:
        changed["description"] = text(fields, "description", characters_max=DESCRIPTION_MAX)
    if isinstance(fields.get("allow_insecure"), bool):
        changed["allow_insecure"] = fields["allow_insecure"]
    if "retry_schedule" in fields:
        changed["schedule"] = _schedule(fields["retry_schedule"])
    if "timeout_seconds" in fields:
        value = fields["timeout_seconds"]
        seconds = None if value is None else whole(value)
        if seconds is None and value is not None:
            raise wrong("timeout_seconds", "timeout_seconds is invalid")
        changed["timeout_s"] = seconds
    return replace(before, **changed)


def _schedule(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    waits = [whole(item) for item in value] if isinstance(value, list) else [None]
    if any(wait is None for wait in waits):
        raise wrong("retry_schedule", "retry_schedule is invalid")
    return tuple(wait for wait in waits if wait is not None)


def _grace(fields: Mapping[str, Any]) -> int:
    value = fields.get("grace_seconds")
    if value is None:
        return GRACE_DEFAULT_S
    seconds = whole(value)
    if seconds is None or seconds not in GRACE_S:
        raise wrong("grace_seconds", "grace_seconds is invalid")
    return seconds


def _shown(endpoint: Endpoint, call: ExternalCall) -> dict[str, Any]:
    options = endpoint.options
    return {
        "id": endpoint.public_id,
        "url": endpoint.url,
        "events": shown_events(endpoint),
        "status": STATUS[endpoint.state],
        "is_active": endpoint.state in (EndpointState.ACTIVE, EndpointState.ACTIVATING),
        "description": options.description,
        "allow_insecure": options.allow_insecure,
        "retry_schedule": None if options.schedule is None else list(options.schedule),
        "timeout_seconds": options.timeout_s or call.dependencies.settings.webhooks_timeout_default_s,
        "disabled_reason": endpoint.state_reason if endpoint.state is EndpointState.DISABLED else None,
        "created_at": iso_seconds(endpoint.created_at),
        "updated_at": iso_seconds(max(endpoint.created_at, endpoint.state_since)),
    }


def _status(row: DeliveryRow) -> str:
    match row.state:
        case DeliveryState.DUE if row.waits:
            return "held"
        case DeliveryState.DUE:
            return "retrying" if row.attempts else "pending"
        case DeliveryState.SENDING:
            return "delivering"
        case DeliveryState.DELIVERED:
            return "succeeded"
        case DeliveryState.DEAD:
            return "failed"
        case DeliveryState.HELD:
            return "held"
        case DeliveryState.CANCELLED:
            return "cancelled"


def _delivery(row: DeliveryRow) -> dict[str, Any]:
    waits = row.state is DeliveryState.DUE and not row.waits
    return {
        "id": row.public_id,
        "event_id": row.event_id,
        "event_type": row.event_name,
        "status": _status(row),
        "attempts": row.attempts,
        "next_attempt_at": iso_seconds(max(row.due_at, row.created_at)) if waits else None,
        "created_at": iso_seconds(row.created_at),
    }


def _attempt(attempt: AttemptRow | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {
        "number": attempt.number,
        "started_at": iso_seconds(Instant(attempt.started_at)),
        "duration_ms": attempt.duration_us // 1_000,
        "response_status": attempt.status,
        "error": None if attempt.outcome == "ok" else str(attempt.detail.get("error") or attempt.outcome),
    }


def _logged(attempt: AttemptRow) -> dict[str, Any]:
    body = attempt.body[:BODY_SHOWN_BYTES].decode("utf-8", "replace") if attempt.body is not None else None
    return {**(_attempt(attempt) or {}), "response_body": body}


OPERATIONS: Final = (
    Operation("GET", "/webhooks/{id}", show, "webhook:read", documents.SHOW),
    Operation("PATCH", "/webhooks/{id}", change, "webhook:write", documents.CHANGE),
    Operation("POST", "/webhooks/{id}/rotate-secret", rotate, "webhook:write", documents.ROTATE),
    Operation("POST", "/webhooks/{id}/test", test, "webhook:write", documents.TEST),
    Operation("GET", "/webhooks/{id}/deliveries", deliveries, "webhook:read", documents.DELIVERIES),
    Operation("GET", "/webhooks/{id}/deliveries/{delivery_id}", delivery, "webhook:read", documents.DELIVERY),
    Operation(
        "POST", "/webhooks/{id}/deliveries/{delivery_id}/redeliver", redeliver, "webhook:write", documents.REDELIVER
    ),
)
