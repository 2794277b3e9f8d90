"""What the OpenAPI document says of payment links."""

from typing import Any, Final

from opentill.api.merchant.documents import (
    AMOUNT_OR_NULL,
    ASKED_AMOUNT,
    ASKED_METADATA,
    COUNT,
    CURRENCY,
    EMPTY_OR_URL,
    FLAG,
    MALFORMED,
    METADATA,
    OR_KEY_TAKEN,
    SPAN,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    URL,
    UUID,
    WORD,
    good,
    listing,
    ok,
    query,
    reads,
    writes,
)
from opentill.web.openapi import body, exactly, ref, some

QUESTION: Final = exactly(
    key=TEXT,
    label=TEXT,
    type={"enum": ["text", "number", "email", "select", "textarea"]},
    options={"type": "array", "items": TEXT},
    required=FLAG,
)
LINK: Final = exactly(
    id={"type": "integer"},
    uuid=UUID,
    slug={"type": "string", "pattern": "^[a-z0-9-]{3,80}$"},
    url=URL,
    title=TEXT,
    description=TEXT_OR_NULL,
    currency=CURRENCY,
    amount=AMOUNT_OR_NULL,
    is_amount_fixed=FLAG,
    min_amount=AMOUNT_OR_NULL,
    max_amount=AMOUNT_OR_NULL,
    redirect_url=TEXT_OR_NULL,
    callback_url=TEXT_OR_NULL,
    max_uses={"type": ["integer", "null"]},
    expires_at=TIME_OR_NULL,
    require_address=FLAG,
    fields={"type": "array", "items": QUESTION},
    gateway=TEXT_OR_NULL,
    metadata=METADATA,
    use_count=COUNT,
    status={"enum": ["active", "inactive", "expired"]},
    created_at=TIME,
    updated_at=TIME,
)
_ASKED_FLAG: Final = {"type": ["boolean", "string", "null"]}
_ASKED: Final[dict[str, Any]] = {
    "title": {**WORD, "description": "Required. At most 200 characters."},
    "currency": TEXT,
    "is_amount_fixed": {**_ASKED_FLAG, "description": "Default true. False: the payer says how much."},
    "min_amount": {"oneOf": [ASKED_AMOUNT, {"type": "null"}], "description": "Open amounts only."},
    "max_amount": {"oneOf": [ASKED_AMOUNT, {"type": "null"}], "description": "Open amounts only."},
    "slug": {**WORD, "description": "3 to 80 of a-z, 0-9 and hyphens, unique on this install. Made if absent."},
    "description": WORD,
    "redirect_url": EMPTY_OR_URL,
    "callback_url": EMPTY_OR_URL,
    "max_uses": {"type": ["integer", "string", "null"], "description": "Counts completed payments."},
    "expires_at": {"type": ["string", "null"], "description": "A time with offset."},
    "require_address": _ASKED_FLAG,
    "fields": {
        "type": ["array", "null"],
        "maxItems": 20,
        "items": {"type": "object"},
        "description": "Questions to the payer: key, label, type, options, required.",
    },
    "gateway": WORD,
    "metadata": ASKED_METADATA,
}
_AMOUNT: Final = {"oneOf": [ASKED_AMOUNT, {"type": "null"}], "description": "Required if is_amount_fixed."}
_TAKEN: Final = f"The slug is taken, {OR_KEY_TAKEN}"

CREATE: Final = writes(
    "createPaymentLink",
    "Create a payment link",
    good(
        "201",
        "The payment link was created.",
        exactly(success=SUCCESS, message=TEXT, data=ref("schemas", "PaymentLink")),
    ),
    asked=body(
        some(("title", "currency"), amount=_AMOUNT, **_ASKED),
        {"title": "Earl Grey, 100 g", "amount": "24.90", "currency": "BRL", "slug": "earl-grey"},
    ),
    error="SeedError",
    bad={"400": MALFORMED, "404": "The gateway is not configured or inactive.", "409": _TAKEN},
)
LIST: Final = listing(
    "listPaymentLinks",
    "List payment links, newest first",
    "PaymentLink",
    [
        query("status", TEXT, "One of active, inactive, expired, or several, joined by commas."),
        query("gateway", TEXT, "The gateway's slug."),
        *SPAN,
    ],
    error="SeedError",
    them="payment links",
)
SHOW: Final = reads(
    "showPaymentLink",
    "Show a payment link by UUID or slug",
    ok("PaymentLink", "The payment link."),
    error="SeedError",
    bad={"404": "No such payment link."},
)
CHANGE: Final = writes(
    "changePaymentLink",
    "Change a payment link; what is not sent stays",
    ok("PaymentLink", "The payment link."),
    asked=body(
        some((), amount=_AMOUNT, status={"enum": ["active", "inactive", None]}, **_ASKED),
        {"status": "inactive"},
        required=False,
    ),
    error="SeedError",
    bad={
        "400": MALFORMED,
        "404": "No such payment link, or the gateway is not configured or inactive.",
        "409": _TAKEN,
    },
)
