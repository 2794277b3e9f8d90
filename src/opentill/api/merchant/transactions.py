"""/transactions: the money records of payments (merchant-api.md §8, §9.5)."""

from typing import Final

from opentill.api.merchant import payment_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.payments import listed
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.payments import queries, wire
from opentill.payments.model import Payment
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

REF_MAX: Final = 255  # characters; what is longer names nothing


async def index(call: MerchantCall) -> Answer:
    """List transactions, newest first."""
    return await listed(call, lambda payment: wire.transaction_object(payment, now=call.arrived_at))


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
    return await call.dependencies.db.lookup(lambda tx: queries.find(tx, ref, owner=owner, keyring=keyring))


OPERATIONS: Final = (
    Operation("GET", "/transactions", index, "read", documents.LIST_TRANSACTIONS),
    Operation("GET", "/transactions/{trx_id}", show, "read", documents.SHOW_TRANSACTION),
)
