"""/payments: what the official clients use (merchant-api.md §9.3, §9.4)."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from opentill.api.merchant import payment_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.paging import answer_page, read_filters
from opentill.api.merchant.repeats import placed
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.payments import queries, service, wire
from opentill.payments.model import Order, Payment
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

NODE_SDK: Final = "OwnPay-NodeJS/"  # verifies the bare form of the signature (§14.5)
FLAT: Final = ("transaction_id", "payment_url", "status", "expires_at")  # the seed page reads these at the top
PAYMENT_REF: Final = re.compile(
    rf"{queries.UUID_FORM.pattern}|{queries.REFERENCE_FORM.pattern}|OP-[A-Za-z0-9-]{{1,60}}", re.ASCII
)


async def create(call: MerchantCall) -> Answer:
    """Create a payment."""
    order = wire.parse_payment(call.fields, callback_bare=call.agent.startswith(NODE_SDK))

    def written(payment: Payment) -> bytes:
        data = wire.created_object(payment, call.public_url)
        return write({"success": True, "data": data})

    payment = drafted(call, order)
    return await placed(call, payment, placing(call, payment), written)


async def show(call: MerchantCall) -> Answer:
    """Show a payment by its UUID or `txn_` reference."""
    payment = await found(call, call.values["payment_id"])

    return Answer(200, rendered(call, payment))


async def index(call: MerchantCall) -> Answer:
    """List payments, newest first; in both families of routes."""
    return await listed(call, partial(shown, call))


def drafted(call: MerchantCall, order: Order) -> Payment:
    """Return the payment an order of the caller's merchant is to become."""
    return service.draft(order, call.by.merchant, ids=call.dependencies.ids, now=call.arrived_at)


def placing(call: MerchantCall, payment: Payment) -> Callable[[Tx], None]:
    """Return the work of storing a drafted payment."""
    deps = call.dependencies
    return lambda tx: service.place(tx, payment, ids=deps.ids, keyring=deps.keyring)


async def found(call: MerchantCall, ref: str) -> Payment:
    """Return the caller's payment of a reference. Raises Invalid where it can be none, NotFound where it is not."""
    ref = ref.strip()
    if not ref:
        raise Invalid([Fault("payment_id", "PAYMENT_ID_REQUIRED", "The payment_id is required.")])
    if PAYMENT_REF.fullmatch(ref) is None:
        message = "The payment_id must be a payment's UUID or its txn_ reference."
        raise Invalid([Fault("payment_id", "INVALID_PAYMENT_ID", message)])
    keyring, owner = call.dependencies.keyring, call.by.owner
    payment = await call.dependencies.db.lookup(lambda tx: queries.find(tx, ref, owner=owner, keyring=keyring))
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment


async def listed(call: MerchantCall, show: Callable[[Payment], dict[str, Any]]) -> Answer:
    """Answer with a page of the caller's payments, in the form that *show* gives them."""
    filters, owner, now = read_filters(call.query()), call.by.owner, call.arrived_at
    page = partial(queries.page, filters=filters, owner=owner, keyring=call.dependencies.keyring, now=now)
    count = partial(queries.count, filters=filters, owner=owner, now=now)

    return await answer_page(call, page, count, show)


def rendered(call: MerchantCall, payment: Payment) -> bytes:
    """Return the answer that shows a payment, in the caller's family."""
    data = shown(call, payment)
    flat = {name: data[name] for name in FLAT} if call.seed else {}
    return write({"success": True, **flat, "data": data})


def shown(call: MerchantCall, payment: Payment) -> dict[str, Any]:
    """Return the payment object as of now."""
    return wire.payment_object(payment, call.public_url, now=call.arrived_at)


OPERATIONS: Final = (
    Operation("POST", "/payments", create, "write", documents.CREATE_PAYMENT, failure="PAYMENT_PROCESSING_FAILED"),
    Operation("GET", "/payments", index, "read", documents.LIST_PAYMENTS),
    Operation("GET", "/payments/{payment_id}", show, "read", documents.SHOW_PAYMENT),
)
