"""What the OpenAPI document says throughout the merchant API: its values, errors and lists.

What it says of one resource stands in `*_documents` or beside its handlers.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from opentill.web.openapi import answer, exactly, fields, ref

TEXT: Final = {"type": "string"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
FLAG: Final = {"type": "boolean"}
COUNT: Final = {"type": "integer", "minimum": 0}
TIME: Final = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", "examples": ["2026-07-20T14:30:00Z"]}
TIME_OR_NULL: Final = {"oneOf": [TIME, {"type": "null"}]}
AMOUNT: Final = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["99.90"]}
AMOUNT_OR_NULL: Final = {"oneOf": [AMOUNT, {"type": "null"}]}
CURRENCY: Final = {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["BRL"]}
UUID: Final = {"type": "string", "format": "uuid"}
TXN: Final = {"type": "string", "pattern": "^txn_[0-9a-f]{16}$"}
TOKEN: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
URL: Final = {"type": "string", "format": "uri", "maxLength": 2048}
METADATA: Final = {"type": "object", "additionalProperties": True}
SUCCESS: Final = {"const": True}

# What a request may hold. Amounts are decimals in major units, as number or text.
ASKED_AMOUNT: Final = {
    "oneOf": [
        {"type": "string", "pattern": r"^\s*[0-9]{1,12}(\.[0-9]+)?\s*$"},
        {"type": "number", "exclusiveMinimum": 0},
    ],
    "description": "A decimal in major units: 100 means 100.00. No sign, exponent or separators.",
}
WORD: Final = {"type": ["string", "number", "boolean", "null"]}
ASKED_METADATA: Final = {
    "oneOf": [METADATA, {"type": "array", "maxItems": 0}, {"type": "null"}],
    "description": "At most 16 KiB as JSON.",
}
EXPIRES_IN: Final = {
    "type": ["integer", "string", "null"],
    "minimum": 60,
    "maximum": 2592000,
    "description": "Seconds until the payment expires.",
}
EMPTY_OR_URL: Final = {"oneOf": [URL, {"const": ""}, {"type": "null"}]}

META: Final = exactly(page=COUNT, per_page=COUNT, total=COUNT, total_pages=COUNT, next_cursor=TEXT_OR_NULL)

# Errors: the client family's shape and the seed family's (merchant-api.md §3.2).
CODE: Final = {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$"}
ENTRY: Final = exactly(code=CODE, message=TEXT, field=TEXT_OR_NULL)
BY_FIELD: Final = {"type": "object", "additionalProperties": {"type": "array", "items": TEXT, "minItems": 1}}
_OPENING: Final[dict[str, Any]] = {"success": {"const": False}, "message": TEXT, "code": CODE, "request_id": TEXT}
ERROR: Final = fields(
    (*_OPENING, "error", "errors"),
    **_OPENING,
    error={"oneOf": [{"const": True}, TEXT], "description": "true, or the message for callers of the official SDKs."},
    errors={"type": "array", "items": ENTRY, "minItems": 1},
    field_errors=BY_FIELD,
    retry_after={"type": "integer", "minimum": 1},
    data={"type": "object"},
)
SEED_ERROR: Final = fields(
    (*_OPENING, "error"),
    **_OPENING,
    error={"const": True},
    errors=BY_FIELD,
    retry_after={"type": "integer", "minimum": 1},
)

COMPONENTS: Final[dict[str, Any]] = {
    "schemas": {
        "Meta": META,
        "Error": ERROR,
        "SeedError": SEED_ERROR,
    },
    "headers": {
        "RateLimitLimit": {"description": "Requests allowed per minute.", "schema": COUNT},
        "RateLimitRemaining": {"description": "Requests left in this minute.", "schema": COUNT},
        "RateLimitReset": {"description": "Unix time at which the minute ends.", "schema": COUNT},
        "RequestId": {"description": "The request's X-Request-ID, or a new one.", "schema": TEXT},
    },
    "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "op_<8 hex>.<48 hex>"}},
}
HEADERS: Final = {
    "X-RateLimit-Limit": ref("headers", "RateLimitLimit"),
    "X-RateLimit-Remaining": ref("headers", "RateLimitRemaining"),
    "X-RateLimit-Reset": ref("headers", "RateLimitReset"),
    "X-Request-ID": ref("headers", "RequestId"),
}
# What can be wrong with many operations. The first is the seed family's, which has 400 for what others have 422 for.
MALFORMED: Final = "The body is not JSON, fields are wrong (`errors` names each), or the Idempotency-Key is malformed."
WRONG: Final = "Fields are wrong; `errors` has an entry for each fault."
KEY_TAKEN: Final = "The Idempotency-Key is in use, or was used with a different request."
OR_KEY_TAKEN: Final = "or the Idempotency-Key is in use or was used otherwise."
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters. The same request under the same key happens once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def answers(good: dict[str, Any], *, error: str, bad: Mapping[str, str]) -> dict[str, Any]:
    """Return the responses of an operation: the good ones, its own bad ones, and those of every operation."""
    everywhere = {
        "400": "The body is not JSON, or the Idempotency-Key is malformed.",
        "401": "The API key is missing or not valid.",
        "403": "The key lacks the scope, its address is not allowed, or the merchant is not active.",
        "413": "The body has more than 1 MiB.",
        "429": "Too many requests in this minute.",
        "500": "A fault on our side; quote the request id.",
        "503": "The service cannot do this now; `retry_after` says when to try again.",
    }
    described = {**everywhere, **bad}
    schema = ref("schemas", error)
    return {**good, **{status: answer(described[status], schema, HEADERS) for status in sorted(described)}}


def good(status: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {status: answer(description, schema, HEADERS)}


def ok(schema: str, description: str, status: str = "200") -> dict[str, Any]:
    """Return the good response that holds one object."""
    return good(status, description, exactly(success=SUCCESS, data=ref("schemas", schema)))


def query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


PAGES: Final = (
    query("page", TEXT, "From 1. What is not a number counts as 1."),
    query("per_page", TEXT, "1 to 100, default 25. Clamped, never refused."),
    query("cursor", TEXT, "`meta.next_cursor` of an earlier answer, instead of a page."),
)
SPAN: Final = (
    query("from", TEXT, "A date, or a time with offset. Inclusive."),
    query("to", TEXT, "A date, or a time with offset. Inclusive."),
)
FILTERS: Final = (
    query("status", TEXT, "One status or several, joined by commas."),
    query("gateway", TEXT, "The gateway's slug."),
    *SPAN,
    query("reference", TEXT, "Your own reference, exact. Alias: order_id."),
    query("payment_id", TEXT, "A payment's UUID."),
)


def reads(
    name: str,
    summary: str,
    found: dict[str, Any],
    *,
    error: str = "Error",
    bad: Mapping[str, str] = MappingProxyType({}),
    parameters: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the document of an operation. Its errors look like the schema *error*; *bad* tells its own."""
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [*parameters],
        "responses": answers(found, error=error, bad=bad),
    }


def writes(
    name: str,
    summary: str,
    done: dict[str, Any],
    *,
    asked: dict[str, Any] | None = None,
    error: str = "Error",
    bad: Mapping[str, str],
) -> dict[str, Any]:
    """Return the document of an operation that an idempotency key keeps from happening twice."""
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [IDEMPOTENCY_KEY],
        **({} if asked is None else {"requestBody": asked}),
        "responses": answers(done, error=error, bad=bad),
    }


def listing(
    name: str,
    summary: str,
    schema: str,
    filters: Iterable[dict[str, Any]],
    *,
    error: str = "Error",
    them: str = "them",
) -> dict[str, Any]:
    """Return the document of a list of objects that has pages, newest first."""
    page = exactly(
        success=SUCCESS, data={"type": "array", "items": ref("schemas", schema)}, meta=ref("schemas", "Meta")
    )
    bad = {"400" if error == "SeedError" else "422": "A date or the cursor is unreadable."}
    return reads(
        name, summary, good("200", f"A page of {them}.", page), error=error, bad=bad, parameters=[*PAGES, *filters]
    )
