"""/events: what happened, with the body that was or will be sent and its deliveries (merchant-api.md §9.13)."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog

from opentill.api.merchant import event_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.paging import meta, read_filters, read_paging
from opentill.api.merchant.webhooks import delivery_object
from opentill.db import ReadTx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import NotFound
from opentill.payments import queries as payments
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation
from opentill.webhooks.bodies import UnrenderableError, render, variant_of
from opentill.webhooks.model import Dialect, Options, RecordedEvent
from opentill.webhooks.queries import event_log
from opentill.webhooks.queries.event_log import EventFilters, EventRow

VARIANT: Final = variant_of(Dialect.MERCHANT, Options())  # amounts as text
CANCELED: Final = {"payment.canceled": "payment.cancelled"}  # the same event (§14.1)

log = structlog.get_logger("opentill.api")


async def index(call: MerchantCall) -> Answer:
    """List events, newest first."""
    query, owner = call.query(), call.by.owner
    asked, paging = read_filters(query), read_paging(query)
    event = query.get("event") or None
    filters = EventFilters(CANCELED.get(event or "", event), asked.payment_uuid, asked.since, asked.before)

    def read(tx: ReadTx) -> tuple[list[dict[str, Any]], list[int], int]:
        limit = paging.per_page + 1
        rows = event_log.page(tx, filters=filters, owner=owner, limit=limit, offset=paging.offset, before=paging.before)
        shown = _shown(tx, rows[: paging.per_page], call)
        return shown, [row.id for row in rows], event_log.count(tx, filters=filters, owner=owner)

    data, ids, total = await call.dependencies.db.read(read)
    return Answer(200, write({"success": True, "data": data, "meta": meta(ids, total, paging)}))


async def show(call: MerchantCall) -> Answer:
    """Show an event by its `evt_…`."""
    found = await call.dependencies.db.read(partial(_one, call=call))
    if found is None:
        raise NotFound("EVENT_NOT_FOUND", "No such event.")
    return Answer(200, write({"success": True, "data": found}))


def _one(tx: ReadTx, *, call: MerchantCall) -> dict[str, Any] | None:
    row = event_log.one(tx, call.values["id"].strip(), owner=call.by.owner)
    return None if row is None else _shown(tx, [row], call)[0]


def _shown(tx: ReadTx, rows: Sequence[EventRow], call: MerchantCall) -> list[dict[str, Any]]:
    owner = call.by.owner
    deliveries = event_log.deliveries_of(tx, rows, owner=owner)
    names = payments.names_of(tx, {row.event.object_id for row in rows}, owner=owner)
    shown = []
    for row in rows:
        event = row.event
        _, reference = names.get(event.object_id, (None, None))
        shown.append(
            {
                "id": event.id,
                "event": event.merchant_type,
                "payment_id": event.object_id if reference else None,
                "trx_id": reference,
                "payload": _payload(event),
                "created_at": iso_seconds(event.occurred_at),
                "deliveries": [delivery_object(one, names) for one in deliveries.get(row.id, ())],
            }
        )
    return shown


def _payload(event: RecordedEvent) -> Any:
    """Return the body of an event; nothing where what is stored of it cannot be shown any more."""
    try:
        return json.loads(render(event, VARIANT))
    except UnrenderableError:
        log.exception("event.unrenderable", event_id=event.id)
        return None


OPERATIONS: Final = (
    Operation("GET", "/events", index, "read", documents.LIST),
    Operation("GET", "/events/{id}", show, "read", documents.SHOW),
)
