"""/disputes: contested payments, to be read; operators act on them elsewhere (merchant-api.md §9.10)."""

from functools import partial
from typing import Final

from opentill.api.merchant import dispute_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.paging import answer_page, read_filters
from opentill.kernel.errors import NotFound
from opentill.payments.disputes import queries
from opentill.payments.disputes.model import DisputeStatus
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

STATUSES: Final = tuple(status.value for status in DisputeStatus)


async def index(call: MerchantCall) -> Answer:
    """List disputes, newest first."""
    filters, owner = read_filters(call.query(), words=STATUSES), call.by.owner
    page = partial(queries.page, filters=filters, owner=owner)
    count = partial(queries.count, filters=filters, owner=owner)

    return await answer_page(call, page, count, queries.dispute_object)


async def show(call: MerchantCall) -> Answer:
    """Show a dispute by its UUID."""
    uuid, owner = call.values["uuid"].strip(), call.by.owner

    found = await call.dependencies.db.read(lambda tx: queries.find(tx, uuid, owner=owner))
    if found is None:
        raise NotFound("DISPUTE_NOT_FOUND", "No such dispute.")

    return Answer(200, write({"success": True, "data": queries.dispute_object(found)}))


OPERATIONS: Final = (
    Operation("GET", "/disputes", index, "read", documents.LIST),
    Operation("GET", "/disputes/{uuid}", show, "read", documents.SHOW),
)
