"""/refunds: giving money back, in full, in part, and often (merchant-api.md §9.6)."""

from functools import partial
from typing import Final

from opentill.api.merchant import refund_documents as documents
from opentill.api.merchant.attempt import Answered, Attempt
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import replay
from opentill.api.merchant.paging import answer_page, read_filters
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.payments import queries as payments
from opentill.payments.model import Payment, Refund
from opentill.payments.refunds import queries, wire
from opentill.payments.refunds.flow import give_back
from opentill.payments.refunds.model import ShownRefund
from opentill.payments.refunds.service import Wish
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation


async def create(call: MerchantCall) -> Answer:
    """Give money back. Under an idempotency key, a repeat goes on with the same refund."""
    asked = wire.parse_refund(call.fields)
    payment = await call.dependencies.db.read(lambda tx: _refunded(tx, call, asked))
    wish = Wish(call.dependencies.ids.uuid7(), asked.units(payment.amount.currency), asked.reason)

    attempt, bodies = Attempt(call), list[bytes]()

    def finish(tx: Tx, refund: Refund) -> None:
        bodies.append(_body(queries.shown(tx, refund)))
        attempt.finish(tx, 201, bodies[-1])

    try:
        owner, tools = call.by.owner, call.dependencies.tools
        await give_back(tools, payment.id, wish, owner=owner, claim=attempt.claim, finish=finish)
    except Answered as before:
        return replay(call, before.kept)
    except Exception as failure:
        await attempt.release(failure)
        raise

    return Answer(201, bodies[-1])


async def index(call: MerchantCall) -> Answer:
    """List refunds, newest first."""
    query, owner = call.query(), call.by.owner
    filters, transaction = read_filters(query), query.get("trx_id") or query.get("transaction_id") or None
    page = partial(queries.page, filters=filters, transaction=transaction, owner=owner)
    count = partial(queries.count, filters=filters, transaction=transaction, owner=owner)

    return await answer_page(call, page, count, wire.refund_object)


async def show(call: MerchantCall) -> Answer:
    """Show the newest refund of a transaction, or the refund of a UUID."""
    ref = call.values["trx_id"].strip()
    if not ref:
        raise Invalid([Fault("trx_id", "TRANSACTION_ID_REQUIRED", "The transaction id is required.")])

    owner = call.by.owner
    found = None
    if len(ref) <= wire.REF_MAX:
        found = await call.dependencies.db.lookup(lambda tx: queries.find(tx, ref, owner=owner))
    if found is None:
        raise NotFound("REFUND_NOT_FOUND", "No such refund.")

    return Answer(200, _body(found))


def _refunded(tx: ReadTx, call: MerchantCall, asked: wire.Asked) -> Payment:
    """Return the payment a refund is asked of. Raises NotFound, and Invalid where two could be meant (D11)."""
    owner = call.by.owner
    meant = queries.transaction_named(tx, asked.ref, owner=owner) if len(asked.ref) <= wire.REF_MAX else ()
    if len(meant) > 1:
        message = "Two transactions have this reference. Name one by its txn_ reference."
        raise Invalid([Fault(asked.ref_field, "AMBIGUOUS_REFERENCE", message)])
    found = payments.by_id(tx, meant[0], owner=owner, keyring=call.dependencies.keyring) if meant else None
    if found is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "No such transaction.")
    return found


def _body(refund: ShownRefund) -> bytes:
    return write({"success": True, "data": wire.refund_object(refund)})


OPERATIONS: Final = (
    Operation("POST", "/refunds", create, "write", documents.CREATE, failure="REFUND_PROCESSING_FAILED"),
    Operation("GET", "/refunds", index, "read", documents.LIST),
    Operation("GET", "/refunds/{trx_id}", show, "read", documents.SHOW),
)
