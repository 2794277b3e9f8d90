"""The operations of the PIX API, and the document that describes them."""

from functools import cache
from typing import Any, Final

from opentill.api.external import (
    account,
    cash_in,
    cash_out,
    med,
    refund,
    sandbox,
    transactions,
    webhook_changes,
    webhooks,
)
from opentill.api.external.call import ExternalCall
from opentill.api.external.documents import COMPONENTS
from opentill.api.external.examples import give_examples
from opentill.api.external.reading_documents import SCHEMAS
from opentill.web import api_docs
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.openapi import openapi
from opentill.web.routes import PUBLIC, Operation
from opentill.webhooks.model import Dialect

DESCRIBED: Final[tuple[Operation[ExternalCall], ...]] = (
    *webhooks.OPERATIONS,
    *webhook_changes.OPERATIONS,
    *cash_in.OPERATIONS,
    *cash_out.OPERATIONS,
    *refund.OPERATIONS,
    *transactions.OPERATIONS,
    *account.OPERATIONS,
    *med.OPERATIONS,
    *sandbox.OPERATIONS,
)
DOCUMENT: Final[dict[str, Any]] = openapi(
    title="OpenTill PIX API",
    description="Receive and send PIX, read what moved, and register the endpoints that hear of it.",
    version="1.0",
    base_path="/api/external",
    operations=DESCRIBED,
    components={**COMPONENTS, "schemas": {**COMPONENTS["schemas"], **SCHEMAS}},
    security=[{"apiKey": []}, {"basic": []}],
    dialects=(Dialect.PIX,),
)
give_examples(DOCUMENT)
_WRITTEN: Final = write(DOCUMENT)


async def describe(_call: ExternalCall) -> Answer:
    """Answer with the OpenAPI document."""
    return Answer(200, _WRITTEN)


async def explain(_call: ExternalCall) -> Answer:
    """Answer with the page that shows the document and tries its calls out."""
    return _page()


@cache
def _page() -> Answer:
    return api_docs.page(DOCUMENT, signed=True)


OPERATIONS: Final = (
    *DESCRIBED,
    Operation("GET", "/openapi.json", describe, PUBLIC),
    Operation("GET", "/docs", explain, PUBLIC),
)
