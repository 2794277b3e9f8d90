"""What the OpenAPI document says of reading: transactions, statement, proof, balance, keys, CPF."""

from typing import Any, Final

from opentill.api.external.documents import (
    HEADERS,
    KEY_CASE,
    POSTED,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UNITS,
    WORKED,
    answers,
    good,
)
from opentill.web.openapi import answer, body, exactly, fields, ref, some

MISSED: Final = {"404": "Transaction not found."}


def asked(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description or name}


_STATUSES: Final = [
    "completed", "settled", "failed", "rejected", "pending", "processing",
    "active", "expired", "cancelled", "returned", "queued", "pending_approval",
]  # fmt: skip
_DAY: Final = {"type": "string", "format": "date"}
PER_PAGE_PARAMETERS: Final = [
    KEY_CASE,
    asked("page", {"type": "integer", "minimum": 1, "default": 1}),
    asked("per_page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
]
PAGED: Final = [
    *PER_PAGE_PARAMETERS,
    asked("status", {"enum": _STATUSES}),
    asked("type", {"enum": ["pix", "ted", "internal"]}),
    asked("date_from", _DAY, "First day, of America/Sao_Paulo."),
    asked("date_to", _DAY, "Last day, of America/Sao_Paulo."),
]
_ROW: Final[dict[str, Any]] = {
    "id": {"type": "string", "format": "uuid"},
    "transaction_id": TEXT,
    "end_to_end_id": TEXT_OR_NULL,
    "external_id": TEXT_OR_NULL,
    "type": {"enum": ["pix", "ted", "internal"]},
    "direction": {"enum": ["inbound", "outbound"]},
    "status": TEXT,
    "amount": UNITS,
    "fee_amount": UNITS,
    "net_amount": UNITS,
    "description": TEXT_OR_NULL,
    "counterparty_name": TEXT_OR_NULL,
    "payer_document": TEXT_OR_NULL,
    "recipient_document": TEXT_OR_NULL,
    "payer_ispb": TEXT_OR_NULL,
    "payer_bank_name": TEXT_OR_NULL,
    "original_transaction_id": TEXT_OR_NULL,
    "created_at": TIME,
    "completed_at": TIME_OR_NULL,
}
_PROOF_FIELDS: Final = (
    "transaction_id", "end_to_end_id", "external_id", "type", "direction", "status", "amount", "fee_amount",
    "net_amount", "description", "counterparty_name", "created_at", "completed_at",
)  # fmt: skip
SCHEMAS: Final[dict[str, Any]] = {
    "Transaction": fields(_ROW, recipient_key=TEXT_OR_NULL, **_ROW),
    "Proof": exactly(
        recipient_key=TEXT_OR_NULL,
        amount_formatted=TEXT,
        fee_formatted=TEXT,
        institution=exactly(name=TEXT_OR_NULL, cnpj=TEXT_OR_NULL, ispb=TEXT_OR_NULL),
        **{name: _ROW[name] for name in _PROOF_FIELDS},
    ),
}
ROW: Final = ref("schemas", "Transaction")
ROWS: Final = {"type": "array", "items": ROW}


def _list(operation_id: str, summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    whole = {"type": "integer"}
    return {
        "operationId": operation_id,
        "summary": summary,
        "parameters": parameters,
        "responses": answers(
            good("200", "A page, newest first.", exactly(worked=WORKED, data=ROWS, page=whole, per_page=whole)),
            refusals={"422": "A parameter is invalid."},
            posted=False,
        ),
    }


def _one(operation_id: str, summary: str, refusals: dict[str, str] = MISSED) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "parameters": [KEY_CASE],
        "responses": answers(
            good("200", "The transaction.", exactly(worked=WORKED, data=ROW)), refusals=refusals, posted=False
        ),
    }


TRANSACTIONS: Final = _list(
    "listTransactions",
    "List charges, receipts, payouts, refunds and returns",
    [*PAGED, asked("direction", {"enum": ["inbound", "outbound"]}), asked("external_id", TEXT)],
)
STATEMENT: Final = _list("readStatement", "List movements of money", PAGED)
SHOW: Final = _one("readTransaction", "Read a transaction by any of its ids")
BY_RAIL_ID: Final = _one("readTransactionByEndToEndId", "Read a transaction by its end-to-end id or return id")
BY_REFERENCE: Final = _one("readTransactionByExternalId", "Read the newest transaction with your own id")
BY_TAG: Final[dict[str, Any]] = {
    "operationId": "listTransactionsByTag",
    "summary": "List transactions whose id begins with a text",
    "parameters": [KEY_CASE],
    "responses": answers(
        good("200", "Up to fifty, newest first.", exactly(worked=WORKED, data=ROWS)),
        refusals={"422": "The tag is invalid."},
        posted=False,
    ),
}
PROOF: Final[dict[str, Any]] = {
    "operationId": "readProof",
    "summary": "Read the proof of a completed payment",
    "parameters": [KEY_CASE],
    "responses": answers(
        good("200", "The proof.", exactly(worked=WORKED, receipt=ref("schemas", "Proof"))),
        refusals={**MISSED, "422": "It is not completed."},
        posted=False,
    ),
}
BALANCE: Final[dict[str, Any]] = {
    "operationId": "readBalance",
    "summary": "Read the balance; never limited",
    "parameters": [KEY_CASE],
    "responses": answers(
        {
            "200": answer(
                "The balance.",
                exactly(worked=WORKED, balance=UNITS, available=UNITS, pending=UNITS, currency={"const": "BRL"}),
                HEADERS,
            )
        },
        refusals={},
        posted=False,
    ),
}
KEYS: Final[dict[str, Any]] = {
    "operationId": "listKeys",
    "summary": "List the PIX keys, oldest first",
    "parameters": [KEY_CASE],
    "responses": answers(
        good(
            "200",
            "The keys.",
            exactly(
                worked=WORKED,
                keys={
                    "type": "array",
                    "items": exactly(
                        key=TEXT,
                        key_type=TEXT,
                        status={"enum": ["active", "pending", "portability"]},
                        created_at=TIME,
                    ),
                },
            ),
        ),
        refusals={},
        posted=False,
    ),
}
CPF: Final[dict[str, Any]] = {
    "operationId": "validateCpf",
    "summary": "Check the digits of a CPF",
    "parameters": [
        {**parameter, "required": False} if parameter["name"] == "hmac" else parameter for parameter in POSTED
    ],
    "requestBody": body(
        some((), cpf={**TEXT_OR_NULL, "description": "Also `document_number`; a mask is allowed."}),
        {"cpf": "123.456.789-09"},
    ),
    "responses": answers(
        good("200", "Whether it fits.", exactly(worked=WORKED, valid={"type": "boolean"}, formatted=TEXT_OR_NULL)),
        refusals={"400": "The cpf is missing.", "422": "The cpf is not a text."},
        posted=True,
    ),
}
