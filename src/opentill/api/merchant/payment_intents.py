"""/payment-intents: the seed page's way to a payment (merchant-api.md §9.2)."""

from typing import Final

from opentill.api.merchant import documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import once
from opentill.api.merchant.payments import drafted, found, placing, shown
from opentill.payments import wire
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

FLAT: Final = ("transaction_id", "payment_url", "status", "expires_at")  # the seed page reads these at the top


async def create(call: MerchantCall) -> Answer:
    """Create a payment for a named gateway."""
    order = wire.parse_intent(call.fields)

    payment = drafted(call, order)
    data = wire.created_object(payment, call.dependencies.settings.public_url)
    flat = {name: data[name] for name in FLAT}
    body = write({"success": True, "message": "Payment created.", **flat, "data": data})
    return await once(call, 201, body, placing(call, payment))


async def show(call: MerchantCall) -> Answer:
    """Show a payment by its UUID or `txn_` reference."""
    payment = await found(call, call.values["ref"])

    data = shown(call, payment)
    return Answer(200, write({"success": True, **{name: data[name] for name in FLAT}, "data": data}))


OPERATIONS: Final = (
    Operation(
        "POST", "/payment-intents", create, "write", documents.CREATE_INTENT, failure="PAYMENT_PROCESSING_FAILED"
    ),
    Operation("GET", "/payment-intents/{ref}", show, "read", documents.SHOW_INTENT),
)
