"""/customers: who pays a merchant (merchant-api.md §9.7)."""

from functools import partial
from typing import Final

from opentill.api.merchant import customer_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import once_made
from opentill.api.merchant.paging import answer_page, read_filters
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.payments.customers import queries, service, wire
from opentill.payments.customers.queries import Filters
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

IDENTIFIER_MAX: Final = 254  # characters; what is longer names nobody


async def create(call: MerchantCall) -> Answer:
    """Create a customer."""
    contact = wire.parse_customer(call.fields)

    def make(tx: Tx) -> bytes:
        deps, merchant = call.dependencies, call.by.merchant
        made = service.create(
            tx,
            contact,
            owner=call.by.owner,
            merchant_uuid=merchant.uuid,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
        )
        return write({"success": True, "data": wire.customer_object(made)})

    return await once_made(call, 201, make)


async def index(call: MerchantCall) -> Answer:
    """List customers, newest first."""
    query, owner, keyring = call.query(), call.by.owner, call.dependencies.keyring
    dates = read_filters(query)
    filters = Filters(dates.since, dates.before, query.get("email") or None, query.get("phone") or None)
    page = partial(queries.page, filters=filters, owner=owner, keyring=keyring)
    count = partial(queries.count, filters=filters, owner=owner, keyring=keyring)

    return await answer_page(call, page, count, wire.customer_object)


async def show(call: MerchantCall) -> Answer:
    """Show a customer by UUID, e-mail address or phone."""
    identifier = call.values["identifier"].strip()
    if not identifier:
        raise Invalid([Fault("identifier", "IDENTIFIER_REQUIRED", "Name a customer by UUID, e-mail or phone.")])

    keyring, owner = call.dependencies.keyring, call.by.owner
    customer = None
    if len(identifier) <= IDENTIFIER_MAX:
        customer = await call.dependencies.db.read(
            lambda tx: queries.find(tx, identifier, owner=owner, keyring=keyring)
        )
    if customer is None:
        raise NotFound("CUSTOMER_NOT_FOUND", "No such customer.")

    return Answer(200, write({"success": True, "data": wire.customer_object(customer)}))


OPERATIONS: Final = (
    Operation("GET", "/customers", index, "read", documents.LIST),
    Operation("POST", "/customers", create, "write", documents.CREATE, failure="CUSTOMER_CREATION_FAILED"),
    Operation("GET", "/customers/{identifier}", show, "read", documents.SHOW),
)
