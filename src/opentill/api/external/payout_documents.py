"""What the OpenAPI document says of sending money."""

from typing import Any, Final

from opentill.api.external.documents import (
    AMOUNT_IN,
    POSTED,
    TEXT,
    TEXT_OR_NULL,
    UNITS,
    WORKED,
    answers,
    good,
)
from opentill.web.openapi import body, exactly, some

PAYOUT_ID: Final = {"type": "string", "pattern": "^PIXOUT[0-9]{8}[a-z0-9]{12}$"}

CASH_OUT: Final[dict[str, Any]] = {
    "operationId": "createPayout",
    "summary": "Send money to a key or a copy-and-paste code",
    "parameters": POSTED,
    "requestBody": body(
        some(
            ("amount",),
            amount=AMOUNT_IN,
            pix_key=TEXT_OR_NULL,
            pix_key_type={"enum": ["cpf", "cnpj", "email", "phone", "evp", None]},
            emv_code={**TEXT_OR_NULL, "description": "Also `emv` or `codigo_copia_cola`."},
            description={"type": ["string", "null"], "maxLength": 140},
            external_id={"type": ["string", "null"], "pattern": r"^\s*[a-zA-Z0-9._:-]{1,128}\s*$"},
            end_to_end_id={"type": ["string", "null"], "pattern": "^E[0-9A-Z]{8}[0-9]{12}[a-zA-Z0-9]{11}$"},
        ),
        {"amount": 3000, "pix_key": "fulano@example.com", "external_id": "order-9876"},
    ),
    "responses": answers(
        good(
            "200",
            "The payout: validated, priced, and held. It is not sent yet.",
            exactly(
                worked=WORKED,
                transaction_id=PAYOUT_ID,
                end_to_end_id=TEXT_OR_NULL,
                external_id=TEXT_OR_NULL,
                amount=UNITS,
                fee_amount=UNITS,
                net_amount=UNITS,
                status={"enum": ["accepted", "pending_approval"]},
                detail=TEXT,
            ),
        ),
        refusals={
            "400": "The amount or the recipient is missing, or the key is invalid.",
            "422": "A field is wrong, the balance is too small, or a limit is reached.",
            "503": "The code could not be read at its bank.",
        },
        posted=True,
    ),
}
DECIDE: Final[dict[str, Any]] = {
    "operationId": "approvePayout",
    "summary": "Let a payout go that waits for a second person, or reject it",
    "parameters": POSTED,
    "requestBody": body(
        some(
            ("transaction_id",),
            transaction_id=TEXT,
            decision={"enum": ["approve", "reject", None], "default": "approve"},
            reason={"type": ["string", "null"], "maxLength": 140},
        ),
        {"transaction_id": "PIXOUT20260307a1b2c3d4e5f6"},
    ),
    "responses": answers(
        good(
            "200",
            "It goes on, or it has failed.",
            exactly(worked=WORKED, transaction_id=PAYOUT_ID, status={"enum": ["processing", "failed"]}, detail=TEXT),
        ),
        refusals={
            "400": "The transaction_id is missing.",
            "404": "Transaction not found.",
            "422": "It was decided before, or its creator may not decide.",
        },
        posted=True,
    ),
}
REFUND: Final[dict[str, Any]] = {
    "operationId": "createRefund",
    "summary": "Give back a part or all of a receipt",
    "parameters": POSTED,
    "requestBody": body(
        some(
            ("original_transaction_id",),
            original_transaction_id={
                **TEXT,
                "description": "A transaction id or an end-to-end id. Also `original_e2e_id`, `transaction_id`, "
                "`end_to_end_id`.",
            },
            amount={**AMOUNT_IN, "type": ["integer", "null"], "description": "Centavos; all that is left if absent."},
            reason={"enum": ["MD06", "BE08", "AM09", "SL02", "RR04", None], "description": "Also `return_code`."},
            description={"type": ["string", "null"], "maxLength": 140},
        ),
        {"original_transaction_id": "k3v9q0x7m2b5n8c1z4l6j0h2g", "amount": 1000},
    ),
    "responses": answers(
        good(
            "200",
            "The refund: held, and on its way.",
            exactly(
                worked=WORKED,
                refund_id={"type": "string", "pattern": "^PIXRET[0-9]{8}[a-z0-9]{12}$"},
                transaction_id=TEXT,
                amount=UNITS,
                status={"const": "processing"},
            ),
        ),
        refusals={
            "400": "The original_transaction_id is missing.",
            "404": "Original transaction not found.",
            "422": "A field is wrong, or the transaction cannot be refunded so.",
        },
        posted=True,
    ),
}
