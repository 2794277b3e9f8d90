"""What the OpenAPI document says of /webhooks."""

from typing import Any, Final

from opentill.api.merchant.documents import (
    COUNT,
    IDEMPOTENCY_KEY,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    URL,
    answers,
    good,
    query,
)
from opentill.web.openapi import body, exactly, fields, ref, some

ID: Final = {"type": "integer", "minimum": 1}
WEBHOOK_ID: Final = {"type": "string", "pattern": "^wh_[0-9a-f]{12}$"}
NAMES: Final = {"type": "array", "items": TEXT}
FORMAT: Final = {"enum": ["prefixed", "bare"]}
AMOUNTS: Final = {"enum": ["string", "number"]}
WHOSE: Final = {"enum": ["all", "own"]}
STATUS: Final = {"enum": ["active", "inactive"]}
COUNT_OR_NULL: Final = {"type": ["integer", "null"], "minimum": 0}

_ENDPOINT: Final[dict[str, Any]] = {
    "id": ID,
    "webhook_id": WEBHOOK_ID,
    "url": TEXT,
    "events": NAMES,
    "description": TEXT_OR_NULL,
    "signature_format": FORMAT,
    "amount_format": AMOUNTS,
    "payments": WHOSE,
    "max_concurrency": ID,
    "status": STATUS,
    "created_at": TIME,
}
ENDPOINT: Final = exactly(**_ENDPOINT)
NEW_ENDPOINT: Final = exactly(**_ENDPOINT, secret=TEXT)
ROTATED: Final = exactly(**_ENDPOINT, secret=TEXT, previous_until=TIME_OR_NULL)
DELIVERY: Final = exactly(
    id=ID,
    delivery_id=TEXT,
    event_id=TEXT_OR_NULL,
    event=TEXT,
    endpoint_id=COUNT_OR_NULL,
    url=TEXT,
    direction={"enum": ["outbound", "inbound"]},
    status={"enum": ["pending", "delivered", "failed", "skipped", "received", "rejected"]},
    state={"enum": ["pending", "retrying", "delivered", "dead", "skipped", "received", "rejected"]},
    status_code=COUNT_OR_NULL,
    response_status=COUNT_OR_NULL,
    response_time_ms=COUNT_OR_NULL,
    attempt=COUNT,
    attempts=COUNT,
    next_attempt_at=TIME_OR_NULL,
    transaction_id=COUNT_OR_NULL,
    trx_id=TEXT_OR_NULL,
    payload=TEXT_OR_NULL,
    response_body=TEXT_OR_NULL,
    created_at=TIME,
)
CHOICES: Final[dict[str, Any]] = {
    "events": {"type": ["array", "null"], "items": TEXT, "description": "Names or groups; none or * means all."},
    "description": {"type": ["string", "null"]},
    "signature_format": FORMAT,
    "amount_format": AMOUNTS,
    "payments": WHOSE,
    "max_concurrency": {"type": "integer", "minimum": 1, "maximum": 50},
}
TAKEN: Final = "The Idempotency-Key is in use, or was used with a different request"
NO_ENDPOINT: Final = "No such endpoint."
WRONG: Final = "Fields are wrong; `errors` has an entry for each fault."

TEST: Final[dict[str, Any]] = {
    "operationId": "testWebhook",
    "summary": "Send webhook.test at once, one attempt",
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": body(
        {
            "oneOf": [
                fields(
                    endpoint_id={"type": ["integer", "string", "null"], "description": "Default: the oldest active."}
                ),
                {"type": "array", "maxItems": 0},
            ]
        },
        {},
        required=False,
    ),
    "responses": answers(
        good(
            "200",
            "The endpoint accepted it.",
            exactly(success=SUCCESS, data=exactly(status_code=COUNT, response_time_ms=COUNT, delivery_id=TEXT)),
        ),
        error="Error",
        bad={
            "400": "The test failed; the message says why. Or the body is not JSON.",
            "404": NO_ENDPOINT,
            "409": f"{TAKEN}.",
            "422": WRONG,
        },
    ),
}
DELIVERIES: Final[dict[str, Any]] = {
    "operationId": "listDeliveries",
    "summary": "List deliveries, newest first: the last 50, or pages",
    "parameters": [
        query("page", TEXT, "From 1. With any parameter, the answer has `meta`."),
        query("per_page", TEXT, "1 to 100, default 25."),
        query("cursor", TEXT, "`meta.next_cursor` of an earlier answer."),
        query("event", TEXT, "The event's name."),
        query("status", TEXT, "pending, delivered, failed, skipped; several joined by commas."),
        query("endpoint_id", TEXT, "The endpoint's number."),
        query("payment_id", TEXT, "A payment's UUID."),
    ],
    "responses": answers(
        good(
            "200",
            "One row for each delivery, with its latest attempt.",
            fields(
                ("success", "data"),
                success=SUCCESS,
                data={"type": "array", "items": DELIVERY},
                meta=ref("schemas", "Meta"),
            ),
        ),
        error="Error",
        bad={"404": NO_ENDPOINT, "422": "The cursor is unreadable."},
    ),
}
RESEND: Final[dict[str, Any]] = {
    "operationId": "resendDelivery",
    "summary": "Make one more attempt of a delivery now",
    "parameters": [IDEMPOTENCY_KEY],
    "responses": answers(
        good("200", "The delivery.", exactly(success=SUCCESS, data=DELIVERY)),
        error="Error",
        bad={"404": "No such delivery.", "409": f"An attempt is due at once or running. {TAKEN}."},
    ),
}
CREATE: Final[dict[str, Any]] = {
    "operationId": "createWebhook",
    "summary": "Register an endpoint; its secret is shown this once",
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": body(
        some(
            ("url",),
            url=URL,
            secret={"type": ["string", "null"], "description": "8 to 128 characters; generated where absent."},
            **CHOICES,
        ),
        {"url": "https://shop.example/webhooks", "events": ["payment.*"], "signature_format": "prefixed"},
    ),
    "responses": answers(
        good("201", "The endpoint, with its secret.", exactly(success=SUCCESS, data=NEW_ENDPOINT)),
        error="Error",
        bad={"409": f"The URL is registered, or no more endpoints are allowed. {TAKEN}.", "422": WRONG},
    ),
}
LIST: Final[dict[str, Any]] = {
    "operationId": "listWebhooks",
    "summary": "List the endpoints",
    "responses": answers(
        good(
            "200", "The endpoints, oldest first.", exactly(success=SUCCESS, data={"type": "array", "items": ENDPOINT})
        ),
        error="Error",
        bad={},
    ),
}
SHOW: Final[dict[str, Any]] = {
    "operationId": "showWebhook",
    "summary": "Show an endpoint by its number or wh_ name",
    "responses": answers(
        good("200", "The endpoint.", exactly(success=SUCCESS, data=ENDPOINT)), error="Error", bad={"404": NO_ENDPOINT}
    ),
}
CHANGE: Final[dict[str, Any]] = {
    "operationId": "changeWebhook",
    "summary": "Change an endpoint, switch it off or on",
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": body(some((), url=URL, status=STATUS, **CHOICES), {"status": "inactive"}),
    "responses": answers(
        good("200", "The endpoint.", exactly(success=SUCCESS, data=ENDPOINT)),
        error="Error",
        bad={"404": NO_ENDPOINT, "409": f"Another endpoint has that URL. {TAKEN}.", "422": WRONG},
    ),
}
REMOVE: Final[dict[str, Any]] = {
    "operationId": "deleteWebhook",
    "summary": "Delete an endpoint; what waits for it is cancelled",
    "parameters": [IDEMPOTENCY_KEY],
    "responses": answers(
        good("200", "It is gone.", exactly(success=SUCCESS, data=exactly(message=TEXT))),
        error="Error",
        bad={"404": NO_ENDPOINT, "409": f"{TAKEN}."},
    ),
}
ROTATE: Final[dict[str, Any]] = {
    "operationId": "rotateWebhookSecret",
    "summary": "Give an endpoint a new secret, shown this once",
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": body(
        some(
            (),
            overlap_seconds={"type": ["integer", "null"], "minimum": 0, "maximum": 604800},
            secret={"type": ["string", "null"]},
        ),
        {"overlap_seconds": 86400},
        required=False,
    ),
    "responses": answers(
        good("200", "The endpoint, with its new secret.", exactly(success=SUCCESS, data=ROTATED)),
        error="Error",
        bad={"404": NO_ENDPOINT, "409": f"{TAKEN}.", "422": WRONG},
    ),
}
