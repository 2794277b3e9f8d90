"""The operations of the merchant API, and the document that describes them."""

from functools import cache
from typing import Any, Final

from opentill.api.merchant import (
    api_keys,
    customer_documents,
    customers,
    dispute_documents,
    disputes,
    event_documents,
    events,
    feed,
    gateways,
    health,
    invoice_documents,
    invoices,
    link_documents,
    payment_changes,
    payment_documents,
    payment_intents,
    payment_links,
    payments,
    refund_documents,
    refunds,
    transactions,
    webhooks,
)
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.documents import COMPONENTS
from opentill.api.merchant.examples import give_examples
from opentill.web import api_docs
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.openapi import openapi
from opentill.web.routes import PUBLIC, Operation
from opentill.webhooks.model import Dialect

DESCRIBED: Final[tuple[Operation[MerchantCall], ...]] = (
    *payment_intents.OPERATIONS,
    *payments.OPERATIONS,
    *payment_changes.OPERATIONS,
    *transactions.OPERATIONS,
    *customers.OPERATIONS,
    *payment_links.OPERATIONS,
    *invoices.OPERATIONS,
    *refunds.OPERATIONS,
    *disputes.OPERATIONS,
    *gateways.OPERATIONS,
    *api_keys.OPERATIONS,
    *webhooks.OPERATIONS,
    *events.OPERATIONS,
    *health.OPERATIONS,
    *feed.OPERATIONS,
)
SCHEMAS: Final = {
    "CreatedPayment": payment_documents.CREATED,
    "Payment": payment_documents.PAYMENT,
    "Transaction": payment_documents.TRANSACTION,
    "Refund": refund_documents.REFUND,
    "Dispute": dispute_documents.DISPUTE,
    "Event": event_documents.EVENT,
    **COMPONENTS["schemas"],
    "Customer": customer_documents.CUSTOMER,
    "PaymentLink": link_documents.LINK,
    "Invoice": invoice_documents.INVOICE,
}
DOCUMENT: Final[dict[str, Any]] = openapi(
    title="OpenTill merchant API",
    description="Take payments: create them, send the payer to the checkout, read what became of them.",
    version="1.0",
    base_path="/api/v1",
    operations=DESCRIBED,
    components={**COMPONENTS, "schemas": SCHEMAS},
    security=[{"key": []}],
    dialects=(Dialect.MERCHANT, Dialect.STANDARD),
)
give_examples(DOCUMENT)
_WRITTEN: Final = write(DOCUMENT)


async def describe(_call: MerchantCall) -> Answer:
    """Answer with the OpenAPI document."""
    return Answer(200, _WRITTEN)


async def explain(_call: MerchantCall) -> Answer:
    """Answer with the page that shows the document and tries its calls out."""
    return _page()


@cache
def _page() -> Answer:
    return api_docs.page(DOCUMENT, signed=False)


OPERATIONS: Final = (
    *DESCRIBED,
    Operation("GET", "/openapi.json", describe, PUBLIC),
    Operation("GET", "/docs", explain, PUBLIC),
)
