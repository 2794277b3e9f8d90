"""/payment-links: addresses anybody can pay at (merchant-api.md §9.8)."""

from functools import partial
from typing import Any, Final

from opentill.api.merchant import link_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import once_made
from opentill.api.merchant.paging import answer_page, read_filters, words
from opentill.api.merchant.payments import NODE_SDK
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import NotFound
from opentill.payments.links import queries, service, wire
from opentill.payments.links.model import Link
from opentill.payments.links.queries import Filters
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation


async def create(call: MerchantCall) -> Answer:
    """Create a payment link."""
    terms = wire.parse_link(call.fields, callback_bare=call.agent.startswith(NODE_SDK))

    def make(tx: Tx) -> bytes:
        made = service.create(tx, terms, owner=call.by.owner, ids=call.dependencies.ids, now=call.arrived_at)
        return write({"success": True, "message": "Payment link created.", "data": _shown(call, made)})

    return await once_made(call, 201, make)


async def index(call: MerchantCall) -> Answer:
    """List payment links, newest first."""
    query, owner, now = call.query(), call.by.owner, call.arrived_at
    common = read_filters(query)
    filters = Filters(words(query.get("status")), common.gateway, common.since, common.before)
    page = partial(queries.page, filters=filters, owner=owner, now=now)
    count = partial(queries.count, filters=filters, owner=owner, now=now)

    return await answer_page(call, page, count, lambda link: _shown(call, link))


async def show(call: MerchantCall) -> Answer:
    """Show a payment link by UUID or slug."""
    link = await call.dependencies.db.read(lambda tx: _found(tx, call))

    return Answer(200, write({"success": True, "data": _shown(call, link)}))


async def change(call: MerchantCall) -> Answer:
    """Change a payment link; what is not sent stays."""

    def save(tx: Tx) -> bytes:
        link = service.locked(tx, _found(tx, call).id, owner=call.by.owner)
        terms = wire.parse_change(call.fields, link)
        return write({"success": True, "data": _shown(call, service.change(tx, link, terms, now=call.arrived_at))})

    return await once_made(call, 200, save)


def _found(tx: ReadTx, call: MerchantCall) -> Link:
    link = queries.find(tx, call.values["ref"].strip(), owner=call.by.owner)
    if link is None:
        raise NotFound("PAYMENT_LINK_NOT_FOUND", "No such payment link.")
    return link


def _shown(call: MerchantCall, link: Link) -> dict[str, Any]:
    return wire.link_object(link, call.public_url, now=call.arrived_at)


OPERATIONS: Final = (
    Operation("POST", "/payment-links", create, "write", documents.CREATE),
    Operation("GET", "/payment-links", index, "read", documents.LIST),
    Operation("GET", "/payment-links/{ref}", show, "read", documents.SHOW),
    Operation("PATCH", "/payment-links/{ref}", change, "write", documents.CHANGE),
)
