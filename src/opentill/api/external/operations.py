"""The operations of the PIX API, and the document that describes them."""

from typing import Any, Final

from opentill.api.external import cash_in, webhooks
from opentill.api.external.call import ExternalCall
from opentill.api.external.documents import COMPONENTS
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.openapi import openapi
from opentill.web.routes import PUBLIC, Operation

DESCRIBED: Final[tuple[Operation[ExternalCall], ...]] = (*webhooks.OPERATIONS, *cash_in.OPERATIONS)
DOCUMENT: Final[dict[str, Any]] = openapi(
    title="OpenTill PIX API",
    description="Receive PIX: make charges, and register the endpoints that hear of them.",
    version="1.0",
    base_path="/api/external",
    operations=DESCRIBED,
    components=COMPONENTS,
    security=[{"apiKey": []}, {"basic": []}],
)
_WRITTEN: Final = write(DOCUMENT)


async def describe(_call: ExternalCall) -> Answer:
    """Answer with the OpenAPI document."""
    return Answer(200, _WRITTEN)


OPERATIONS: Final = (*DESCRIBED, Operation("GET", "/openapi.json", describe, PUBLIC))
