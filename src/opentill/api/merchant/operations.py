"""The operations of the merchant API, and the document that describes them."""

from typing import Any, Final

from opentill.api.merchant import health, payment_intents, payments, transactions
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.documents import COMPONENTS
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.openapi import openapi
from opentill.web.routes import PUBLIC, Operation

DESCRIBED: Final[tuple[Operation[MerchantCall], ...]] = (
    *payment_intents.OPERATIONS,
    *payments.OPERATIONS,
    *transactions.OPERATIONS,
    *health.OPERATIONS,
)
DOCUMENT: Final[dict[str, Any]] = openapi(
    title="OpenTill merchant API",
    description="Take payments: create them, send the payer to the checkout, read what became of them.",
    version="1.0",
    base_path="/api/v1",
    operations=DESCRIBED,
    components=COMPONENTS,
    security=[{"key": []}],
)
_WRITTEN: Final = write(DOCUMENT)


async def describe(_call: MerchantCall) -> Answer:
    """Answer with the OpenAPI document."""
    return Answer(200, _WRITTEN)


OPERATIONS: Final = (*DESCRIBED, Operation("GET", "/openapi.json", describe, PUBLIC))
