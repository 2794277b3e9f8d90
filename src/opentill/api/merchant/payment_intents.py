"""/payment-intents: the seed page's way to a payment (merchant-api.md §9.2)."""

from typing import Final

from opentill.api.merchant import payment_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.payments import FLAT, drafted, found, index, placing, rendered
from opentill.api.merchant.repeats import placed
from opentill.payments import wire
from opentill.payments.model import Payment
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation


async def create(call: MerchantCall) -> Answer:
    """Create a payment for a named gateway."""
    order = wire.parse_intent(call.fields, lenient=call.by.merchant.options.lenient_intents)

    def written(payment: Payment) -> bytes:
        data = wire.created_object(payment, call.public_url)
        flat = {name: data[name] for name in FLAT}
        return write({"success": True, "message": "Payment created.", **flat, "data": data})

    payment = drafted(call, order)
    return await placed(call, payment, placing(call, payment), written)


async def show(call: MerchantCall) -> Answer:
    """Show a payment by its UUID or `txn_` reference."""
    payment = await found(call, call.values["ref"])

    return Answer(200, rendered(call, payment))


OPERATIONS: Final = (
    Operation(
        "POST", "/payment-intents", create, "write", documents.CREATE_INTENT, failure="PAYMENT_PROCESSING_FAILED"
    ),
    Operation("GET", "/payment-intents", index, "read", documents.LIST_INTENTS),
    Operation("GET", "/payment-intents/{ref}", show, "read", documents.SHOW_INTENT),
)
