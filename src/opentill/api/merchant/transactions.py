"""/transactions: the money records of payments (merchant-api.md §8, §9.5)."""

from typing import Any, Final

from opentill.api.merchant import documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.paging import Paging, read_filters, read_paging
from opentill.db import ReadTx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.payments import queries, wire
from opentill.payments.model import Payment
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

REF_MAX: Final = 255  # characters; what is longer names nothing


async def index(call: MerchantCall) -> Answer:
    """List transactions, newest first."""
    query = call.query()
    paging, filters = read_paging(query), read_filters(query)

    rows, total = await call.dependencies.db.read(lambda tx: _page(tx, call, filters, paging))

    data = [wire.transaction_object(payment, now=call.arrived_at) for payment in rows[: paging.per_page]]
    return Answer(200, write({"success": True, "data": data, "meta": _meta(rows, total, paging)}))


async def show(call: MerchantCall) -> Answer:
    """Show a transaction by `txn_` reference, payment UUID, provider reference or number."""
    ref = call.values["trx_id"].strip()
    if not ref:
        raise Invalid([Fault("trx_id", "TRANSACTION_ID_REQUIRED", "The transaction id is required.")])

    payment = await _found(call, ref) if len(ref) <= REF_MAX else None
    if payment is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "No such transaction.")

    return Answer(200, write({"success": True, "data": wire.transaction_object(payment, now=call.arrived_at)}))


async def _found(call: MerchantCall, ref: str) -> Payment | None:
    keyring, owner = call.dependencies.keyring, call.by.owner
    return await call.dependencies.db.read(lambda tx: queries.find(tx, ref, owner=owner, keyring=keyring))


def _page(tx: ReadTx, call: MerchantCall, filters: queries.Filters, paging: Paging) -> tuple[list[Payment], int]:
    """Return the rows of a page and one more, if there is one, and how many there are in all."""
    owner, now = call.by.owner, call.arrived_at
    rows = queries.page(
        tx,
        filters,
        owner=owner,
        keyring=call.dependencies.keyring,
        now=now,
        limit=paging.per_page + 1,
        offset=paging.offset,
        before=paging.before,
    )
    return list(rows), queries.count(tx, filters, owner=owner, now=now)


def _meta(rows: list[Payment], total: int, paging: Paging) -> dict[str, Any]:
    more = len(rows) > paging.per_page
    return {
        "page": paging.page,
        "per_page": paging.per_page,
        "total": total,
        "total_pages": -(-total // paging.per_page),
        "next_cursor": paging.cursor_after(rows[paging.per_page - 1].id) if more else None,
    }


OPERATIONS: Final = (
    Operation("GET", "/transactions", index, "read", documents.LIST_TRANSACTIONS),
    Operation("GET", "/transactions/{trx_id}", show, "read", documents.SHOW_TRANSACTION),
)
