"""What the OpenAPI document says of contests."""

from typing import Any, Final

from opentill.api.external.documents import (
    KEY_CASE,
    POSTED,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UNITS,
    WORKED,
    answers,
    good,
)
from opentill.web.openapi import body, exactly, some

MED_ID: Final = {"type": "string", "pattern": "^MED[0-9]{8}[0-9]{3,}$"}
_MED: Final[dict[str, Any]] = {
    "id": MED_ID,
    "type": {"enum": ["REFUND_REQUEST", "REFUND_CANCELLED"]},
    "status": {"enum": ["ACKNOWLEDGED", "CLOSED", "CANCELLED"]},
    "amount": UNITS,
    "original_end_to_end_id": TEXT_OR_NULL,
    "created_at": TIME,
}
_PIECE: Final = dict.fromkeys(("type", "url", "description", "source", "filename", "received_at"), TEXT_OR_NULL)

LIST: Final[dict[str, Any]] = {
    "operationId": "listMeds",
    "summary": "List the contests of receipts, newest first",
    "parameters": [KEY_CASE],
    "responses": answers(
        good("200", "The contests.", exactly(worked=WORKED, meds={"type": "array", "items": exactly(**_MED)})),
        refusals={},
        posted=False,
    ),
}
SHOW: Final[dict[str, Any]] = {
    "operationId": "readMed",
    "summary": "Read a contest",
    "parameters": [KEY_CASE],
    "responses": answers(
        good("200", "The contest.", exactly(worked=WORKED, med=exactly(reason=TEXT_OR_NULL, **_MED))),
        refusals={"404": "MED not found."},
        posted=False,
    ),
}
DEFEND: Final[dict[str, Any]] = {
    "operationId": "defendMed",
    "summary": "Hand in a defence, once and before the deadline",
    "parameters": POSTED,
    "requestBody": body(
        some(
            ("defense_text",),
            defense_text={"type": "string", "minLength": 1, "maxLength": 4000},
            evidence={"type": ["array", "null"], "maxItems": 10, "items": some((), **_PIECE)},
        ),
        {"defense_text": "Delivered, with a signature.", "evidence": [{"url": "https://shop.example/proof.pdf"}]},
    ),
    "responses": answers(
        good(
            "200",
            "It was taken.",
            exactly(
                worked=WORKED,
                status={"const": "defense_submitted"},
                med_id=MED_ID,
                block_id=TEXT,
                evidence_count={"type": "integer"},
                defense_submitted_at=TIME,
            ),
        ),
        refusals={
            "400": "The defense_text is missing.",
            "404": "MED not found.",
            "422": "A field is wrong, or no defence is taken any more.",
        },
        posted=True,
    ),
}
