"""What the OpenAPI document says of changing endpoints and of deliveries."""

from typing import Any, Final

from opentill.api.external.documents import (
    ENDPOINT_ID,
    EVENTS,
    HMAC,
    KEY_CASE,
    POSTED,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    WORKED,
    answers,
    good,
)
from opentill.api.external.reading_documents import PER_PAGE_PARAMETERS, asked
from opentill.web.openapi import body, exactly, some

WHOLE: Final = {"type": "integer"}
SCHEDULE: Final = {"type": ["array", "null"], "maxItems": 20, "items": {"type": "integer", "minimum": 1}}
TIMEOUT: Final = {"type": ["integer", "null"], "minimum": 1, "maximum": 30}
_STATUSES: Final = ["pending", "delivering", "retrying", "succeeded", "failed", "held", "cancelled"]
_WEBHOOK: Final = exactly(
    id=ENDPOINT_ID,
    url=TEXT,
    events=EVENTS,
    status={"enum": ["active", "paused", "disabled"]},
    is_active={"type": "boolean"},
    description=TEXT_OR_NULL,
    allow_insecure={"type": "boolean"},
    retry_schedule=SCHEDULE,
    timeout_seconds=WHOLE,
    disabled_reason=TEXT_OR_NULL,
    created_at=TIME,
    updated_at=TIME,
)
_ATTEMPT: Final[dict[str, Any]] = {
    "number": WHOLE,
    "started_at": TIME,
    "duration_ms": WHOLE,
    "response_status": {"type": ["integer", "null"]},
    "error": TEXT_OR_NULL,
}
_DELIVERY: Final[dict[str, Any]] = {
    "id": TEXT,
    "event_id": TEXT,
    "event_type": TEXT,
    "status": {"enum": _STATUSES},
    "attempts": WHOLE,
    "next_attempt_at": TIME_OR_NULL,
    "created_at": TIME,
    "last_attempt": {"anyOf": [exactly(**_ATTEMPT), {"type": "null"}]},
}
_MISSED: Final = {"404": "Webhook not found, or delivery not found."}


def _described(
    operation_id: str, summary: str, schema: dict[str, Any], *, refusals: dict[str, str], **more: Any
) -> dict[str, Any]:
    posted = "requestBody" in more or HMAC in more.get("parameters", ())
    return {
        "operationId": operation_id,
        "summary": summary,
        "parameters": [KEY_CASE],
        **more,
        "responses": answers(good("200", "Done.", schema), refusals=refusals, posted=posted),
    }


SHOW: Final = _described("readWebhook", "Read an endpoint", exactly(worked=WORKED, webhook=_WEBHOOK), refusals=_MISSED)
CHANGE: Final = _described(
    "changeWebhook",
    "Change an endpoint",
    exactly(worked=WORKED, webhook=_WEBHOOK),
    refusals={**_MISSED, "400": "The url is blank.", "422": "A field is wrong."},
    parameters=[KEY_CASE, HMAC],
    requestBody=body(
        some(
            (),
            url=TEXT_OR_NULL,
            events={"oneOf": [EVENTS, {"type": "null"}]},
            description={"type": ["string", "null"], "maxLength": 255},
            is_active={"type": ["boolean", "null"]},
            allow_insecure={"type": ["boolean", "null"]},
            retry_schedule=SCHEDULE,
            timeout_seconds=TIMEOUT,
        ),
        {"is_active": False},
    ),
)
ROTATE: Final = _described(
    "rotateWebhookSecret",
    "Give an endpoint a new secret",
    exactly(worked=WORKED, id=ENDPOINT_ID, secret=TEXT, previous_secret_expires_at=TIME),
    refusals={**_MISSED, "422": "A field is wrong."},
    parameters=POSTED,
    requestBody=body(
        some(
            (),
            secret={"type": ["string", "null"], "minLength": 16, "maxLength": 128},
            grace_seconds={"type": ["integer", "null"], "minimum": 0, "maximum": 604800, "default": 86400},
        ),
        {"grace_seconds": 3600},
        required=False,
    ),
)
TEST: Final = _described(
    "testWebhook",
    "Send webhook.test to an endpoint, once",
    exactly(worked=WORKED, event_id=TEXT, delivery_id=TEXT),
    refusals={**_MISSED, "422": "The endpoint is not active, or the message is too long."},
    parameters=POSTED,
    requestBody=body(
        some((), message={"type": ["string", "null"], "maxLength": 140}), {"message": "Hello"}, required=False
    ),
)
DELIVERIES: Final = _described(
    "listDeliveries",
    "List deliveries to an endpoint, newest first",
    exactly(worked=WORKED, data={"type": "array", "items": exactly(**_DELIVERY)}, page=WHOLE, per_page=WHOLE),
    refusals={**_MISSED, "422": "A parameter is invalid."},
    parameters=[*PER_PAGE_PARAMETERS, asked("status", {"enum": _STATUSES}), asked("event", TEXT)],
)
DELIVERY: Final = _described(
    "readDelivery",
    "Read a delivery, its bytes and every attempt",
    exactly(
        worked=WORKED,
        delivery=exactly(
            body=TEXT_OR_NULL,
            attempt_log={"type": "array", "items": exactly(response_body=TEXT_OR_NULL, **_ATTEMPT)},
            **_DELIVERY,
        ),
    ),
    refusals=_MISSED,
)
REDELIVER: Final = _described(
    "redeliver",
    "Send a delivery's bytes again, as a new delivery",
    exactly(worked=WORKED, delivery_id=TEXT, event_id=TEXT),
    refusals={**_MISSED, "422": "The endpoint is not active, or the delivery is still in progress."},
    parameters=POSTED,
)
