"""What the OpenAPI document says of /api-keys."""

from typing import Any, Final

from opentill.api.merchant.documents import (
    IDEMPOTENCY_KEY,
    SUCCESS,
    TEXT,
    TIME,
    TIME_OR_NULL,
    WORD,
    answers,
    good,
    query,
)
from opentill.web.openapi import body, exactly, some

PREFIX: Final = {"type": "string", "pattern": "^[0-9a-f]{8}$"}
SCOPE_LIST: Final = {"type": "array", "items": {"enum": ["read", "write", "admin"]}}
ID: Final = {"type": "integer", "minimum": 1}
KEY: Final = exactly(
    id=ID,
    name=TEXT,
    label=TEXT,
    prefix=PREFIX,
    scopes=SCOPE_LIST,
    status={"enum": ["active", "locked", "revoked", "expired"]},
    last_used=TIME_OR_NULL,
    expires_at=TIME_OR_NULL,
    created_at=TIME,
)
NEW_KEY: Final = exactly(
    key={"type": "string", "pattern": r"^op_[0-9a-f]{8}\.[0-9a-f]{48}$"},
    prefix=PREFIX,
    warning=TEXT,
    id=ID,
    name=TEXT,
    scopes=SCOPE_LIST,
    expires_at=TIME_OR_NULL,
)
SUPER_ADMIN: Final = {
    "name": "X-Super-Admin-Email",
    "in": "header",
    "required": False,
    "description": "If sent, it must name an active super-admin. The operator may require it.",
    "schema": {"type": "string", "format": "email", "maxLength": 254},
}
FORBIDDEN: Final = "The key lacks `write` or `admin` or a scope it asks for, or X-Super-Admin-Email names nobody."

LIST: Final[dict[str, Any]] = {
    "operationId": "listApiKeys",
    "summary": "List the API keys in service",
    "parameters": [
        SUPER_ADMIN,
        query("status", {"enum": ["all"]}, "`all` adds the keys that are locked or have ended."),
    ],
    "responses": answers(
        good("200", "The keys, newest first.", exactly(success=SUCCESS, data={"type": "array", "items": KEY})),
        error="Error",
        bad={"400": "X-Super-Admin-Email is required here.", "403": FORBIDDEN},
    ),
}
CREATE: Final[dict[str, Any]] = {
    "operationId": "createApiKey",
    "summary": "Make an API key",
    "description": "The key is shown in this answer only. It has no scope that the calling key lacks.",
    "parameters": [IDEMPOTENCY_KEY, SUPER_ADMIN],
    "requestBody": body(
        {
            "oneOf": [
                some(
                    (),
                    name={**WORD, "description": "1 to 80 characters. Alias: label. Default: Default."},
                    label=WORD,
                    scopes={"oneOf": [{**SCOPE_LIST, "minItems": 1}, {"type": "null"}]},
                    expires_at={"type": ["string", "null"], "description": "A time to come, with offset."},
                    rate_limit={"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000},
                    allowed_ips={"type": ["array", "null"], "items": TEXT, "maxItems": 100},
                ),
                {"type": "array", "maxItems": 0},
            ]
        },
        {"name": "Shop server", "scopes": ["read", "write"], "rate_limit": 600, "allowed_ips": ["203.0.113.0/24"]},
        required=False,
    ),
    "responses": answers(
        good("201", "The key was made.", exactly(success=SUCCESS, data=NEW_KEY)),
        error="Error",
        bad={
            "400": "The body is not JSON, the Idempotency-Key is malformed, or X-Super-Admin-Email is required here.",
            "403": FORBIDDEN,
            "409": "The Idempotency-Key is in use, or was used with a different request.",
            "422": "Fields are wrong; `errors` has an entry for each fault.",
        },
    ),
}
REVOKE: Final[dict[str, Any]] = {
    "operationId": "revokeApiKey",
    "summary": "End an API key for good",
    "parameters": [IDEMPOTENCY_KEY, SUPER_ADMIN],
    "responses": answers(
        good("200", "The key has ended.", exactly(success=SUCCESS, data=exactly(message=TEXT))),
        error="Error",
        bad={
            "400": "The key was revoked before, or X-Super-Admin-Email is required here.",
            "403": FORBIDDEN,
            "404": "No such key.",
            "409": "The Idempotency-Key is in use, or was used with a different request.",
        },
    ),
}
