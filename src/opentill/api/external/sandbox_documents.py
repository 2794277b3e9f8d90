"""What the OpenAPI document says of what a developer has happen at the sandbox bank."""

from typing import Any, Final

from opentill.api.external.documents import (
    AMOUNT_IN,
    CHARGE_ID,
    HMAC,
    IDEMPOTENCY_KEY,
    KEY_CASE,
    TEXT,
    TEXT_OR_NULL,
    UNITS,
    WORKED,
    answers,
    good,
)
from opentill.api.external.med_documents import MED_ID
from opentill.api.external.payout_documents import PAYOUT_ID
from opentill.web.openapi import body, exactly, some

PART: Final = {**AMOUNT_IN, "type": ["integer", "null"], "description": "Centavos; all of it if absent."}
E2E_IDS: Final = {"type": "array", "items": TEXT}
OUTCOME: Final = {"enum": ["completed", "failed", None], "default": "completed"}
COUNT: Final = {"type": ["integer", "null"], "minimum": 1, "maximum": 100, "default": 1}
OPERATIONS: Final = [
    "charge.create", "charge.cancel", "charge.read", "receipt.read", "payout.submit", "payout.query", "refund.submit",
    "refund.query", "receipt.notify", "payout.notify", "sweep.read", "token",
]  # fmt: skip
FAULTS: Final = [
    "timeout_before", "timeout_after", "duplicate", "reorder", "wrong_amount", "drop", "delay", "http_400", "http_401",
    "http_409", "http_429", "http_500", "http_503", "html_200", "truncated",
]  # fmt: skip
FAULT_ID: Final = {"type": "string", "pattern": "^flt_[0-9]+$"}
_MISSED: Final = {"404": "Transaction not found, or the credential is a live one."}


def _described(
    operation_id: str,
    summary: str,
    answered: dict[str, Any],
    *,
    refusals: dict[str, str] | None = None,
    asked: dict[str, Any] | None = None,
    posted: bool = True,
) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "parameters": [KEY_CASE, HMAC, IDEMPOTENCY_KEY] if posted else [KEY_CASE],
        **({"requestBody": asked} if asked else {}),
        "responses": answers(
            good("200", "Done; what follows from it reaches the books a moment later.", answered),
            refusals={"422": "A field is wrong, or the account is not at the sandbox bank."} | (refusals or {}),
            posted=posted,
            sandbox=True,
        ),
    }


PAY: Final = _described(
    "sandboxPayCharge",
    "Have a payer pay a charge, also one that is over",
    exactly(worked=WORKED, end_to_end_ids=E2E_IDS),
    refusals=_MISSED,
    asked=body(
        some(
            (),
            amount={**PART, "description": "Centavos; the charge's amount if absent."},
            count=COUNT,
            notify={"enum": ["now", "never", "twice", None], "default": "now"},
            payer_name={"type": ["string", "null"], "maxLength": 140},
            payer_document={**TEXT_OR_NULL, "description": "Digits of a CPF, or a CNPJ."},
            delay_ms={"type": ["integer", "null"], "minimum": 0, "maximum": 86400000, "default": 0},
        ),
        {"payer_name": "Ana Teste"},
        required=False,
    ),
)
EXPIRE: Final = _described(
    "sandboxExpireCharge",
    "Let the time of a charge be over now",
    exactly(worked=WORKED, transaction_id=CHARGE_ID, status=TEXT),
    refusals={**_MISSED, "422": "The charge is over."},
)
RECEIVE: Final = _described(
    "sandboxReceive",
    "Have money arrive on a key, without a charge",
    exactly(worked=WORKED, end_to_end_ids=E2E_IDS),
    refusals={"400": "The pix_key or the amount is missing."},
    asked=body(
        some(("pix_key", "amount"), pix_key=TEXT, amount=AMOUNT_IN, label={**TEXT_OR_NULL, "maxLength": 35}),
        {"pix_key": "123e4567-e89b-42d3-a456-426655440000", "amount": 3000},
    ),
)
SETTLE_PAYOUT: Final = _described(
    "sandboxSettlePayout",
    "End a payout that waits at the bank",
    exactly(worked=WORKED, transaction_id=PAYOUT_ID),
    refusals=_MISSED,
    asked=body(
        some((), outcome=OUTCOME, code={**TEXT_OR_NULL, "description": "A code of the rail, as AC03."}),
        {"outcome": "failed", "code": "AC03"},
        required=False,
    ),
)
RETURN_PAYOUT: Final = _described(
    "sandboxReturnPayout",
    "Have the recipient's bank return a payout, or a part of it",
    exactly(worked=WORKED, transaction_id=PAYOUT_ID, return_id=TEXT),
    refusals=_MISSED,
    asked=body(
        some((), amount=PART, reason={"type": ["string", "null"], "maxLength": 140, "default": "MD06"}),
        {"amount": 1000},
        required=False,
    ),
)
SETTLE_REFUND: Final = _described(
    "sandboxSettleRefund",
    "End a refund that stays in progress at the bank",
    exactly(worked=WORKED, refund_id=TEXT),
    refusals=_MISSED,
    asked=body(some((), outcome=OUTCOME), {"outcome": "completed"}, required=False),
)
CONTEST: Final = _described(
    "sandboxOpenMed",
    "Have the payer contest a receipt",
    exactly(worked=WORKED, med_id=MED_ID),
    refusals={
        "400": "The end_to_end_id is missing.",
        **_MISSED,
        "503": "The sandbox bank has not said what came of it.",
    },
    asked=body(
        some(
            ("end_to_end_id",),
            end_to_end_id=TEXT,
            amount=PART,
            reason={"enum": ["FRAUD", "OPERATIONAL_FLAW", None], "default": "FRAUD"},
        ),
        {"end_to_end_id": "E99999002202603071530abcdef12345"},
    ),
)
RESOLVE: Final = _described(
    "sandboxResolveMed",
    "Close a contest; where the banks agreed, the money goes back",
    exactly(worked=WORKED, med_id=MED_ID, status={"enum": ["ACKNOWLEDGED", "CLOSED", "CANCELLED"]}),
    refusals={
        "400": "The result is missing.",
        "404": "MED not found, or the credential is a live one.",
        "422": "A field is wrong, or the MED is closed.",
        "503": "The sandbox bank has not said what came of it.",
    },
    asked=body(
        some(("result",), result={"enum": ["AGREED", "DISAGREED", "CANCELLED"]}, amount=PART), {"result": "AGREED"}
    ),
)
FUND: Final = _described(
    "sandboxFund",
    "Credit test money, without fee and without an event",
    exactly(worked=WORKED, transaction_id=TEXT, end_to_end_id=TEXT, amount=UNITS),
    refusals={"400": "The amount is missing."},
    asked=body(some(("amount",), amount=AMOUNT_IN), {"amount": 1000000}),
)
SCRIPT_FAULT: Final = _described(
    "sandboxScriptFault",
    "Have something go wrong, a number of times",
    exactly(worked=WORKED, id=FAULT_ID),
    refusals={"400": "The operation or the fault is missing."},
    asked=body(
        some(
            ("operation", "fault"),
            operation={"type": "string", "enum": OPERATIONS},
            fault={"type": "string", "enum": FAULTS},
            count=COUNT,
            delay_ms={"type": ["integer", "null"], "minimum": 0, "maximum": 60000, "default": 0},
            match={
                "type": ["object", "null"],
                "description": "Which calls it strikes: all of external_id, transaction_id, end_to_end_id, "
                "and amount (centavos), as texts.",
                "additionalProperties": TEXT,
            },
        ),
        {"operation": "charge.create", "fault": "timeout_after", "match": {"external_id": "order-9876"}},
    ),
)
LIST_FAULTS: Final = _described(
    "sandboxListFaults",
    "List what is still to go wrong",
    exactly(
        worked=WORKED,
        faults={
            "type": "array",
            "items": exactly(
                id=FAULT_ID,
                operation=TEXT,
                fault=TEXT,
                match={"type": "object"},
                delay_ms={"type": "integer"},
                count={"type": "integer"},
                used={"type": "integer"},
            ),
        },
    ),
    posted=False,
)
CLEAR_FAULTS: Final = _described(
    "sandboxClearFaults", "Forget what is still to go wrong", exactly(worked=WORKED), posted=False
)
