"""What the OpenAPI document says of the install: its gateways and its health."""

from typing import Final

from opentill.api.merchant.documents import (
    AMOUNT_OR_NULL,
    COUNT,
    CURRENCY,
    FLAG,
    SUCCESS,
    TEXT,
    TIME,
    good,
    reads,
)
from opentill.web.openapi import exactly

_GATEWAY: Final = exactly(
    slug=TEXT,
    name=TEXT,
    type={"enum": ["api", "manual"]},
    currencies={"oneOf": [{"type": "array", "items": CURRENCY}, {"type": "null"}], "description": "null: any."},
    min_amount=AMOUNT_OR_NULL,
    max_amount=AMOUNT_OR_NULL,
    capabilities={"type": "array", "items": TEXT},
    sandbox=FLAG,
)
GATEWAYS: Final = reads(
    "listGateways",
    "List the gateways a payment can name",
    good("200", "The active gateways.", exactly(success=SUCCESS, data={"type": "array", "items": _GATEWAY})),
)
HEALTH: Final = reads(
    "health",
    "Say whether everything runs on time",
    good(
        "200",
        "The install's health.",
        exactly(
            success=SUCCESS,
            data=exactly(
                status={"enum": ["healthy", "degraded"]},
                version=TEXT,
                db={"const": "connected"},
                mobile=exactly(connected=FLAG, active_devices=COUNT),
                gateways=COUNT,
                customers=COUNT,
                workers=exactly(outbox_lag_seconds=COUNT),
                time=TIME,
            ),
        ),
    ),
)
