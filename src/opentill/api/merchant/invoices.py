"""/invoices: bills a customer pays at a page of their own (merchant-api.md §9.9)."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from opentill.api.merchant import invoice_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import once_made
from opentill.api.merchant.paging import answer_page, read_filters, words
from opentill.api.merchant.payments import NODE_SDK
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Conflict, NotFound
from opentill.payments import flow
from opentill.payments.invoices import letters, queries, rules, service, wire
from opentill.payments.invoices.model import Invoice
from opentill.payments.invoices.queries import Filters
from opentill.payments.model import Payment
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation


async def create(call: MerchantCall) -> Answer:
    """Create a draft."""
    terms, billed = wire.parse_invoice(call.fields, callback_bare=call.agent.startswith(NODE_SDK))

    def make(tx: Tx) -> Invoice:
        return service.create(tx, terms, billed, **_tools(call))

    return await once_made(call, 201, _written(call, make))


async def index(call: MerchantCall) -> Answer:
    """List invoices, newest first."""
    query, owner, now = call.query(), call.by.owner, call.arrived_at
    common = read_filters(query)
    filters = Filters(words(query.get("status")), common.since, common.before, common.order_id, common.payment_uuid)
    page = partial(queries.page, filters=filters, owner=owner, keyring=call.dependencies.keyring, now=now)
    count = partial(queries.count, filters=filters, owner=owner, now=now)

    return await answer_page(call, page, count, lambda invoice: _shown(call, invoice))


async def show(call: MerchantCall) -> Answer:
    """Show an invoice by its UUID."""
    invoice = await call.dependencies.db.read(lambda tx: _found(tx, call))

    return Answer(200, write({"success": True, "data": _shown(call, invoice)}))


async def change(call: MerchantCall) -> Answer:
    """Change a draft, or move the due date of a sent invoice; what is not sent stays."""

    def save(tx: Tx) -> Invoice:
        invoice = _locked(tx, call)
        terms, billed = wire.parse_change(call.fields, invoice)
        return service.change(tx, invoice, terms, billed, **_tools(call))

    return await once_made(call, 200, _written(call, save))


async def send(call: MerchantCall) -> Answer:
    """Let a draft be paid, and write to its customer."""
    deps, now = call.dependencies, call.arrived_at

    def give(tx: Tx) -> Invoice:
        sent = service.send(tx, _locked(tx, call), now=now)
        link = wire.invoice_url(sent, call.public_url)
        letters.post_link(tx, sent, link, ids=deps.ids, keyring=deps.keyring, now=now)
        return sent

    return await once_made(call, 200, _written(call, give))


async def cancel(call: MerchantCall) -> Answer:
    """Cancel an invoice. A payment of it that is open is ended first; "paid" wins."""
    keyring, now = call.dependencies.keyring, call.arrived_at

    def end(tx: Tx) -> Invoice:
        return service.cancel(tx, _locked(tx, call), keyring=keyring, now=now)

    await _end_open_payment(call)
    return await once_made(call, 200, _written(call, end))


async def _end_open_payment(call: MerchantCall) -> None:
    def load(tx: ReadTx) -> Payment | None:
        invoice = _found(tx, call)
        rules.require_cancellable(invoice)
        return service.open_payment(tx, invoice, keyring=call.dependencies.keyring)

    try:
        under_way = await call.dependencies.db.read(load)
    except Conflict:
        return  # the operation says so, or repeats the answer it gave before
    if under_way is not None:
        try:
            await flow.cancel(call.dependencies.tools, under_way.token)
        except Conflict:
            raise Conflict("INVALID_STATE", "Somebody is paying this invoice at the moment.") from None


def _found(tx: ReadTx, call: MerchantCall) -> Invoice:
    uuid, keyring = call.values["uuid"].strip(), call.dependencies.keyring
    invoice = queries.find(tx, uuid, owner=call.by.owner, keyring=keyring)
    if invoice is None:
        raise NotFound("INVOICE_NOT_FOUND", "No such invoice.")
    return invoice


def _locked(tx: Tx, call: MerchantCall) -> Invoice:
    return service.locked(tx, _found(tx, call).id, owner=call.by.owner, keyring=call.dependencies.keyring)


def _written(call: MerchantCall, work: Callable[[Tx], Invoice]) -> Callable[[Tx], bytes]:
    return lambda tx: write({"success": True, "data": _shown(call, work(tx))})


def _shown(call: MerchantCall, invoice: Invoice) -> dict[str, Any]:
    return wire.invoice_object(invoice, call.public_url, now=call.arrived_at)


def _tools(call: MerchantCall) -> dict[str, Any]:
    deps = call.dependencies
    return {"merchant": call.by.merchant, "ids": deps.ids, "keyring": deps.keyring, "now": call.arrived_at}


OPERATIONS: Final = (
    Operation("POST", "/invoices", create, "write", documents.CREATE),
    Operation("GET", "/invoices", index, "read", documents.LIST),
    Operation("GET", "/invoices/{uuid}", show, "read", documents.SHOW),
    Operation("PATCH", "/invoices/{uuid}", change, "write", documents.CHANGE),
    Operation("POST", "/invoices/{uuid}/send", send, "write", documents.SEND),
    Operation("POST", "/invoices/{uuid}/cancel", cancel, "write", documents.CANCEL),
)
