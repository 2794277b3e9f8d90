"""What the OpenAPI document says of disputes."""

from typing import Final

from opentill.api.merchant.documents import (
    AMOUNT,
    CURRENCY,
    FILTERS,
    TEXT,
    TIME,
    TIME_OR_NULL,
    TXN,
    UUID,
    listing,
    ok,
    reads,
)
from opentill.web.openapi import exactly

DISPUTE: Final = exactly(
    id={"type": "integer"},
    uuid=UUID,
    transaction_id={"type": "integer"},
    trx_id=TXN,
    payment_id=UUID,
    amount=AMOUNT,
    currency=CURRENCY,
    reason=TEXT,
    status={"type": "string", "enum": ["open", "under_review", "won", "lost", "closed"]},
    evidence_due_at=TIME_OR_NULL,
    resolved_at=TIME_OR_NULL,
    created_at=TIME,
    updated_at=TIME,
)

LIST: Final = listing("listDisputes", "List disputes, newest first", "Dispute", FILTERS)
SHOW: Final = reads(
    "showDispute", "Show a dispute by its UUID", ok("Dispute", "The dispute."), bad={"404": "No such dispute."}
)
