"""/webhooks: endpoints of this API, tests, and what was delivered (merchant-api.md §9.13)."""

import re
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from opentill.api.merchant import webhook_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.errors import Stopped
from opentill.api.merchant.once import once, once_made
from opentill.api.merchant.paging import Paging, meta, read_paging
from opentill.api.merchant.webhook_fields import active, options, overlap_s
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Invalid, NotFound
from opentill.kernel.owner import Owner
from opentill.payments import queries as payments
from opentill.payments.fields import Fields
from opentill.payments.inbound import queries as inbound
from opentill.payments.inbound.model import CallbackRow
from opentill.web.engine import bounds_of, engine_of
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation
from opentill.webhooks import flow, service
from opentill.webhooks.flow import Tested
from opentill.webhooks.model import By, Dialect, Endpoint
from opentill.webhooks.queries import merchant_log
from opentill.webhooks.queries.merchant_log import Beside, LogFilters, LogRow

NAME: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
LATEST: Final = 50  # deliveries that are listed where nobody asks for pages
BODY_SHOWN_BYTES: Final = 4 * 1024
LIST_WORDS: Final = frozenset({"page", "per_page", "cursor", "event", "status", "endpoint_id", "payment_id"})
MERCHANT: Final = Dialect.MERCHANT


async def create(call: MerchantCall) -> Answer:
    """Register an endpoint. Its secret is shown in this answer only."""
    fields, deps = Fields(call.fields), call.dependencies
    url, secret, chosen = fields.text("url") or "", fields.text("secret"), options(fields)
    _refuse(fields)

    def work(tx: Tx) -> bytes:
        endpoint, shown = service.create_endpoint(
            tx,
            owner=call.by.owner,
            dialect=MERCHANT,
            url=url,
            options=chosen,
            secret=secret,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
            bounds=bounds_of(deps.settings),
            by=_by(call),
        )
        return _written({**_shown(endpoint), "secret": shown.reveal()})

    return await once_made(call, 201, work)


async def index(call: MerchantCall) -> Answer:
    """List the endpoints, oldest first. There are as many at most as the operator allows."""
    found = await call.dependencies.db.read(lambda tx: service.of_surface(tx, call.by.owner, MERCHANT))
    return Answer(200, _written([_shown(endpoint) for endpoint in found]))


async def show(call: MerchantCall) -> Answer:
    """Show an endpoint, without its secret."""
    return Answer(200, _written(_shown(await call.dependencies.db.read(lambda tx: _found(tx, call)))))


async def change(call: MerchantCall) -> Answer:
    """Change what was sent of an endpoint, and switch it off or on."""
    fields, deps, owner, name = Fields(call.fields), call.dependencies, call.by.owner, _name(call)
    url, switched = fields.text("url"), active(fields)

    def work(tx: Tx) -> bytes:
        before = _found(tx, call)
        chosen = options(fields, before.options)
        _refuse(fields)
        service.change_endpoint(
            tx,
            owner=owner,
            dialect=MERCHANT,
            endpoint_id=name,
            url=url,
            options=chosen,
            now=call.arrived_at,
            bounds=bounds_of(deps.settings),
            by=_by(call),
        )
        if switched is not None:
            service.set_active(
                tx,
                owner=owner,
                dialect=MERCHANT,
                endpoint_id=name,
                active=switched,
                ids=deps.ids,
                now=call.arrived_at,
                by=_by(call),
            )
        return _written(_shown(_found(tx, call)))

    return await once_made(call, 200, work)


async def remove(call: MerchantCall) -> Answer:
    """Delete an endpoint; what waits for it is cancelled."""
    name, ids = _name(call), call.dependencies.ids

    def work(tx: Tx) -> None:
        service.delete_endpoint(
            tx,
            owner=call.by.owner,
            dialect=MERCHANT,
            endpoint_id=name,
            ids=ids,
            now=call.arrived_at,
            by=_by(call),
        )

    return await once(call, 200, _written({"message": "Webhook endpoint deleted."}), work)


async def rotate(call: MerchantCall) -> Answer:
    """Give an endpoint a new secret, shown in this answer only; the old one signs beside it for the overlap."""
    fields, deps, name = Fields(call.fields), call.dependencies, _name(call)
    overlap, secret = overlap_s(fields), fields.text("secret")
    _refuse(fields)

    def work(tx: Tx) -> bytes:
        rotated = service.rotate_secret(
            tx,
            owner=call.by.owner,
            dialect=MERCHANT,
            endpoint_id=name,
            secret=secret,
            overlap_s=overlap,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
            by=_by(call),
        )
        until = rotated.previous_until
        shown = {**_shown(rotated.endpoint), "secret": rotated.secret.reveal()}
        return _written({**shown, "previous_until": None if until is None else iso_seconds(until)})

    return await once_made(call, 200, work)


async def test(call: MerchantCall) -> Answer:
    """Send `webhook.test` at once to one endpoint, or to the oldest that is active."""
    fields = Fields(call.fields)
    named = fields.text("endpoint_id")
    _refuse(fields)
    endpoint_id = None if named is None else _number_or_name(named)

    try:
        tested = await flow.send_test(
            engine_of(call.dependencies), owner=call.by.owner, dialect=MERCHANT, endpoint_id=endpoint_id, by=_by(call)
        )
    except service.NotActive:
        raise Stopped(400, "WEBHOOK_TEST_FAILED", "There is no active webhook endpoint.") from None

    if not tested.succeeded:
        raise Stopped(400, "WEBHOOK_TEST_FAILED", _failure(tested))
    data = {
        "status_code": tested.status,
        "response_time_ms": round(tested.duration_us / 1000),
        "delivery_id": tested.delivery_id,
    }
    return Answer(200, _written(data))


async def deliveries(call: MerchantCall) -> Answer:
    """List deliveries, newest first: the last fifty, or pages where they are asked for."""
    query = call.query()
    asks = bool(query.keys() & LIST_WORDS)
    paging = read_paging(query) if asks else Paging(1, LATEST, None)
    filters = _filters(query)

    def read(tx: ReadTx) -> tuple[list[dict[str, Any]], list[int], int]:
        owner, limit = call.by.owner, paging.per_page + asks
        beside = _inbound_ids(filters, owner)
        ids = merchant_log.ids(
            tx, filters, owner=owner, limit=limit, offset=paging.offset, before=paging.before, beside=beside
        )
        sent = merchant_log.rows(tx, ids[: paging.per_page])
        names = payments.names_of(tx, {row.delivery.object_id for row in sent}, owner=owner)
        came = inbound.rows(tx, ids[: paging.per_page], owner=owner) if beside else ()
        rows = [*(delivery_object(row, names) for row in sent), *(_callback(row) for row in came)]
        total = merchant_log.count(tx, filters, owner=owner) + _inbound_count(tx, filters, owner) if asks else 0
        return sorted(rows, key=itemgetter("id"), reverse=True), ids, total

    data, row_ids, total = await call.dependencies.db.read(read)
    told: dict[str, Any] = {"success": True, "data": data}
    return Answer(200, write({**told, "meta": meta(row_ids, total, paging)} if asks else told))


async def resend(call: MerchantCall) -> Answer:
    """Make one more attempt of a delivery now."""
    delivery_id = _name(call)

    def work(tx: Tx) -> bytes:
        owner = call.by.owner
        made = service.resend(
            tx, owner=owner, delivery_id=delivery_id, dialect=MERCHANT, now=call.arrived_at, by=_by(call)
        )
        row = merchant_log.one(tx, made)
        return _written(delivery_object(row, payments.names_of(tx, {row.delivery.object_id}, owner=owner)))

    return await once_made(call, 200, work)


def _found(tx: ReadTx, call: MerchantCall) -> Endpoint:
    return service.find(tx, owner=call.by.owner, dialect=MERCHANT, endpoint_id=_name(call))


def _name(call: MerchantCall) -> int | str:
    """Return the number, the `wh_…` or the `dlv_…` of the address."""
    return _number_or_name(call.values["id"])


def _number_or_name(named: str) -> int | str:
    return int(named) if NAME.fullmatch(named) else named


def _filters(query: Mapping[str, str]) -> LogFilters:
    endpoint_id = query.get("endpoint_id")
    statuses = query.get("status")
    payment_id = query.get("payment_id")
    if endpoint_id and not NAME.fullmatch(endpoint_id):
        raise NotFound("ENDPOINT_NOT_FOUND", "Webhook endpoint not found.")
    return LogFilters(
        event=query.get("event") or None,
        statuses=tuple(word.strip() for word in statuses.split(",")) if statuses else None,
        endpoint_id=int(endpoint_id) if endpoint_id else None,
        payment_uuid=payment_id.lower() if payment_id else None,
    )


def _refuse(fields: Fields) -> None:
    if fields.faults:
        raise Invalid(fields.faults)


def _by(call: MerchantCall) -> By:
    return By(f"key:{call.by.prefix}", call.address)


def _written(data: object) -> bytes:
    return write({"success": True, "data": data})


def _failure(tested: Tested) -> str:
    if tested.status is not None:
        return f"The endpoint answered {tested.status}."
    return f"The test did not arrive: {tested.error or tested.outcome}."


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    chosen = endpoint.options
    return {
        "id": endpoint.id,
        "webhook_id": endpoint.public_id,
        "url": endpoint.url,
        "events": list(chosen.events) if chosen.events else ["*"],
        "description": chosen.description,
        "signature_format": chosen.signature_format.name.lower(),
        "amount_format": chosen.amount_format.value,
        "payments": chosen.payments.value,
        "max_concurrency": chosen.max_in_flight,
        "status": "active" if endpoint.state in service.IN_SERVICE else "inactive",
        "created_at": iso_seconds(endpoint.created_at),
    }


def delivery_object(row: LogRow, names: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    sent, attempt = row.delivery, row.attempt
    number, reference = names.get(sent.object_id, (None, None))
    status = {"retrying": "failed", "dead": "failed"}.get(row.state, row.state)
    answered = attempt.status if attempt else sent.last_status
    return {
        "id": sent.id,
        "delivery_id": sent.public_id,
        "event_id": sent.event_id,
        "event": sent.event_name,
        "endpoint_id": sent.endpoint_id,
        "url": sent.url,
        "direction": "outbound",
        "status": status,
        "state": row.state,
        "status_code": answered,
        "response_status": answered,
        "response_time_ms": round(attempt.duration_us / 1000) if attempt else None,
        "attempt": attempt.number if attempt else 0,
        "attempts": sent.attempts,
        "next_attempt_at": None if row.next_at is None else iso_seconds(row.next_at),
        "transaction_id": number,
        "trx_id": reference,
        "payload": None if row.body is None else row.body.decode(),
        "response_body": _answer_text(attempt.body) if attempt else None,
        "created_at": iso_seconds(sent.created_at),
    }


def _inbound_ids(filters: LogFilters, owner: Owner) -> Beside | None:
    """Return where the ids of gateways' callbacks are, unless the list is narrowed to what has none."""
    if not _asks_for_inbound(filters):
        return None
    return Beside(*inbound.ids(owner, statuses=filters.statuses, payment_uuid=filters.payment_uuid))


def _inbound_count(tx: ReadTx, filters: LogFilters, owner: Owner) -> int:
    if not _asks_for_inbound(filters):
        return 0
    return inbound.count(tx, owner=owner, statuses=filters.statuses, payment_uuid=filters.payment_uuid)


def _asks_for_inbound(filters: LogFilters) -> bool:
    return filters.endpoint_id is None and filters.event in (None, inbound.EVENT)


def _callback(row: CallbackRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "delivery_id": row.public_id,
        "event_id": None,
        "event": inbound.EVENT,
        "endpoint_id": None,
        "url": row.url,
        "direction": "inbound",
        "status": row.state.value,
        "state": row.state.value,
        "status_code": row.status,
        "response_status": row.status,
        "response_time_ms": None,
        "attempt": row.times,
        "attempts": row.times,
        "next_attempt_at": None,
        "transaction_id": row.payment_id,
        "trx_id": row.payment_reference,
        "payload": row.body.decode(errors="replace"),
        "response_body": '{"received":true}' if row.status == 200 else '{"received":false}',
        "created_at": iso_seconds(row.created_at),
    }


def _answer_text(body: bytes | None) -> str | None:
    return None if body is None else body[:BODY_SHOWN_BYTES].decode(errors="replace")


OPERATIONS: Final = (
    Operation("POST", "/webhooks/tests", test, "write", documents.TEST),
    Operation("GET", "/webhooks/deliveries", deliveries, "read", documents.DELIVERIES),
    Operation("POST", "/webhooks/deliveries/{id}/resend", resend, "write", documents.RESEND),
    Operation("POST", "/webhooks", create, "write", documents.CREATE),
    Operation("GET", "/webhooks", index, "read", documents.LIST),
    Operation("GET", "/webhooks/{id}", show, "read", documents.SHOW),
    Operation("PATCH", "/webhooks/{id}", change, "write", documents.CHANGE),
    Operation("DELETE", "/webhooks/{id}", remove, "write", documents.REMOVE),
    Operation("POST", "/webhooks/{id}/rotate-secret", rotate, "write", documents.ROTATE),
)
