"""What the OpenAPI document says of refunds."""

from typing import Final

from opentill.api.merchant.documents import (
    AMOUNT,
    CURRENCY,
    FILTERS,
    KEY_TAKEN,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    TXN,
    UUID,
    WORD,
    WRONG,
    listing,
    ok,
    query,
    reads,
    writes,
)
from opentill.web.openapi import body, exactly, some

REFUND: Final = exactly(
    id={"type": "integer"},
    uuid=UUID,
    transaction_id={"type": "integer"},
    trx_id=TXN,
    payment_id=UUID,
    gateway_trx_id=TEXT_OR_NULL,
    amount=AMOUNT,
    currency=CURRENCY,
    charge={"oneOf": [exactly(amount=AMOUNT, currency=CURRENCY), {"type": "null"}]},
    reason=TEXT,
    status={"type": "string", "enum": ["pending", "completed", "failed"]},
    gateway_refund_id=TEXT_OR_NULL,
    failure_code=TEXT_OR_NULL,
    failure_message=TEXT_OR_NULL,
    processed_at=TIME_OR_NULL,
    created_at=TIME,
)

CREATE: Final = writes(
    "createRefund",
    "Give money back, all of it or a part",
    ok("Refund", "The refund, which may be pending, completed or failed.", "201"),
    asked=body(
        some(
            (),
            transaction_id={**WORD, "description": "Required. Any name of the transaction. Alias: trx_id."},
            trx_id=WORD,
            amount={**WORD, "description": "In the payment's currency. Default: all that is left."},
            reason={**WORD, "description": "Cut to 500 characters."},
        ),
        {"transaction_id": "txn_5c0e19a7b3d2f486", "amount": "150.00", "reason": "Returned goods"},
    ),
    bad={
        "400": "It cannot go back: the message names what is left to refund. Or the request is malformed.",
        "404": "No such transaction.",
        "409": KEY_TAKEN,
        "422": WRONG,
    },
)
LIST: Final = listing(
    "listRefunds",
    "List refunds, newest first",
    "Refund",
    [*FILTERS, query("trx_id", TEXT, "Any name of a transaction. Alias: transaction_id.")],
)
SHOW: Final = reads(
    "showRefund",
    "Show a transaction's newest refund, or a refund by its UUID",
    ok("Refund", "The refund."),
    bad={"404": "No such refund.", "422": "The id is blank."},
)
