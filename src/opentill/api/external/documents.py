"""What the OpenAPI document says of the PIX API's operations and objects."""

from typing import Any, Final

from opentill.web.openapi import answer, body, exactly, ref, some
from opentill.webhooks.catalogue import PIX_EVENTS, PIX_EXTRA_EVENTS

TEXT: Final = {"type": "string"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
TIME: Final = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", "examples": ["2026-03-07T15:30:00Z"]}
ENDPOINT_ID: Final = {"type": "string", "pattern": "^wh_[0-9a-f]{12}$"}
CHARGE_ID: Final = {"type": "string", "pattern": "^[a-z][a-z0-9]{24}$"}
EVENTS: Final = {
    "type": "array",
    "items": {"type": "string", "enum": [*PIX_EVENTS, *PIX_EXTRA_EVENTS]},
    "minItems": 1,
    "description": "Those after webhook.test are names only where the operator offers extra events.",
}
WORKED: Final = {"const": True}
TIME_OR_NULL: Final = {**TIME, "type": ["string", "null"]}
UNITS: Final = {"type": "integer", "description": "Units of R$ 0.0001."}
AMOUNT_IN: Final = {"type": "integer", "minimum": 1, "maximum": 999999999999, "description": "Centavos."}

COMPONENTS: Final[dict[str, Any]] = {
    "schemas": {
        "Endpoint": exactly(
            id=ENDPOINT_ID,
            url=TEXT,
            events=EVENTS,
            status={"enum": ["active", "paused", "disabled"]},
            created_at=TIME,
        ),
        "OperationError": exactly(worked={"const": False}, detail=TEXT),
        "PipelineError": exactly(error=exactly(status={"type": "integer"}, message=TEXT)),
    },
    "headers": {
        "RequestId": {"description": "The request's X-Request-Id, or a new one.", "schema": TEXT},
        "RateLimitLimit": {"description": "Requests allowed per minute and address.", "schema": {"type": "integer"}},
        "RateLimitRemaining": {"description": "Requests left in this minute.", "schema": {"type": "integer"}},
    },
    "securitySchemes": {
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`ApiKey {client_id}:{client_secret}`",
        },
        "basic": {"type": "http", "scheme": "basic"},
    },
}
HEADERS: Final = {"X-Request-Id": ref("headers", "RequestId")}
COUNTED: Final = {
    **HEADERS,
    "X-RateLimit-Limit": ref("headers", "RateLimitLimit"),
    "X-RateLimit-Remaining": ref("headers", "RateLimitRemaining"),
}
KEY_CASE: Final = {
    "name": "X-Key-Case",
    "in": "header",
    "required": False,
    "description": "The case of keys in request and answer.",
    "schema": {"type": "string", "enum": ["snake_case", "camelCase"], "default": "snake_case"},
}
HMAC: Final = {
    "name": "hmac",
    "in": "header",
    "required": True,
    "description": "HMAC-SHA512 of the body under the client secret, as 128 hex digits.",
    "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{128}$"},
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 256 printable ASCII characters. The same request under the same key happens once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
POSTED: Final = [KEY_CASE, HMAC, IDEMPOTENCY_KEY]

_PIPELINE: Final = {
    "400": "The body, the key case or the Idempotency-Key is malformed.",
    "401": "The credential or the hmac is missing or wrong.",
    "403": "The address is not allowed, the account is inactive, or a permission is missing.",
    "409": "A request with this Idempotency-Key is still being processed.",
    "413": "The body has more than 256 KiB.",
    "415": "The body is not application/json.",
    "422": "The Idempotency-Key was used with another body, where the operator has that refused.",
    "429": "Too many requests, or too many failed authentications.",
    "500": "A fault on our side; quote the request id.",
    "503": "The service cannot do this now; see Retry-After.",
}


def answers(good: dict[str, Any], *, refusals: dict[str, str], posted: bool, sandbox: bool = False) -> dict[str, Any]:
    """Return the responses of an operation: the good ones, what the operation refuses, what the pipeline does."""
    either = {"anyOf": [ref("schemas", "OperationError"), ref("schemas", "PipelineError")]}
    pipeline = {
        status: answer(text, ref("schemas", "PipelineError"), HEADERS)
        for status, text in _PIPELINE.items()
        if posted or status not in ("409", "415", "422")
    }
    if sandbox:
        pipeline["404"] = answer("The credential is a live one.", ref("schemas", "PipelineError"), HEADERS)
    own = {
        status: answer(
            text if status not in _PIPELINE or status not in pipeline else f"{text} {_PIPELINE[status]}",
            either if status in pipeline else ref("schemas", "OperationError"),
            HEADERS,
        )
        for status, text in refusals.items()
    }
    return dict(sorted({**pipeline, **own, **good}.items()))


def good(status: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {status: answer(description, schema, COUNTED)}


CREATE_WEBHOOK: Final = {
    "operationId": "createWebhook",
    "summary": "Register an endpoint",
    "parameters": POSTED,
    "requestBody": body(
        some(
            ("url",),
            url={"type": "string", "maxLength": 2048},
            events={"oneOf": [EVENTS, {"type": "null"}]},
            allow_insecure={"type": ["boolean", "null"]},
            secret={"type": ["string", "null"], "minLength": 16, "maxLength": 128},
            description={"type": ["string", "null"], "maxLength": 255},
        ),
        {"url": "https://yoursite.com/webhook", "events": ["pix.charge.paid", "pix.payout.confirmed"]},
    ),
    "responses": answers(
        good(
            "201",
            "The endpoint, with its secret, which is not shown again.",
            exactly(
                worked=WORKED,
                id=ENDPOINT_ID,
                url=TEXT,
                events=EVENTS,
                secret=TEXT,
                description=TEXT_OR_NULL,
                is_active={"type": "boolean"},
                created_at=TIME,
            ),
        ),
        refusals={"400": "The url is missing.", "422": "A field is wrong, or the limit of endpoints is reached."},
        posted=True,
    ),
}
LIST_WEBHOOKS: Final = {
    "operationId": "listWebhooks",
    "summary": "List the endpoints, oldest first",
    "parameters": [KEY_CASE],
    "responses": answers(
        good(
            "200",
            "The endpoints.",
            exactly(worked=WORKED, webhooks={"type": "array", "items": ref("schemas", "Endpoint")}),
        ),
        refusals={},
        posted=False,
    ),
}
DELETE_WEBHOOK: Final = {
    "operationId": "deleteWebhook",
    "summary": "Remove an endpoint",
    "parameters": [KEY_CASE],
    "responses": answers(
        good("200", "It is removed; what waits for it is dropped.", exactly(worked=WORKED)),
        refusals={"404": "Webhook not found."},
        posted=False,
    ),
}
CASH_IN: Final = {
    "operationId": "createCharge",
    "summary": "Make a charge: a QR and copy-and-paste code",
    "parameters": POSTED,
    "requestBody": body(
        some(
            ("amount",),
            amount=AMOUNT_IN,
            description={"type": ["string", "null"], "maxLength": 140},
            external_id={"type": ["string", "null"], "pattern": r"^\s*[a-zA-Z0-9._:-]{1,128}\s*$"},
            pix_key=TEXT_OR_NULL,
            city=TEXT_OR_NULL,
            expires_in={"type": ["integer", "null"], "minimum": 60, "maximum": 2592000},
        ),
        {"amount": 3000, "external_id": "order-9876"},
    ),
    "responses": answers(
        good(
            "200",
            "The charge.",
            exactly(
                worked=WORKED,
                transaction_id=CHARGE_ID,
                qr_code=TEXT,
                qr_code_image={"type": "string", "pattern": "^data:image/png;base64,"},
                external_id=TEXT_OR_NULL,
                amount=UNITS,
                status={"enum": ["active", "completed", "expired", "cancelled", "conflicted"]},
                expires_at=TIME,
            ),
        ),
        refusals={
            "400": "The amount is missing.",
            "422": "A field is wrong, or the provider refused the charge.",
            "503": "The provider cannot be reached.",
        },
        posted=True,
    ),
}
CANCEL: Final = {
    "operationId": "cancelCharge",
    "summary": "Remove a charge that was not paid",
    "parameters": POSTED,
    "responses": answers(
        good(
            "200",
            "It is removed.",
            exactly(worked=WORKED, transaction_id=CHARGE_ID, status={"const": "cancelled"}),
        ),
        refusals={
            "404": "Transaction not found.",
            "422": "It is over, or was paid meanwhile.",
            "503": "The provider cannot be reached.",
        },
        posted=True,
    ),
}
