"""Bodies of the PIX dialect, version 1: flat objects, amounts in base units (pix-api.md §17.4).

The bodies are data: each name has its `status` and its fields in order, every field with the place of the
document (docs/events.md) it is copied from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import Instant, iso_micros
from opentill.webhooks.bodies.json_text import NULL, object_of, text_of
from opentill.webhooks.model import RecordedEvent

VERSION: Final = "1"

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a body: its name, where in the document its value is, and how it is written."""

    name: str
    part: str
    key: str
    written: Callable[[Any], str] = text_of
    optional: bool = False  # left out when unknown, instead of null
    part_optional: bool = False  # null when the whole part is absent


@dataclass(frozen=True, slots=True)
class Body:
    """One body: the constant `status`, or the part of the document that names it, and the fields."""

    status: str
    fields: tuple[Field, ...]
    status_part: str | None = None


def _micros(instant: int) -> str:
    return f'"{iso_micros(Instant(instant))}"'


def _copied(part: str, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, part, name) for name in names)


def _at(part: str, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, part, name, _micros) for name in names)


def _amount(part: str, name: str = "amount", key: str = "amount_units") -> Field:
    return Field(name, part, key)


_CHARGE: Final = (
    Field("transaction_id", "charge", "id"),
    Field("external_id", "charge", "external_id"),
)

_PAID: Final = (
    Field("transaction_id", "receipt", "transaction_id"),
    Field("external_id", "charge", "external_id", part_optional=True),  # a direct receipt has no charge
    Field("end_to_end_id", "receipt", "end_to_end_id"),
    _amount("receipt"),
    _amount("receipt", "fee_amount", "fee_units"),
    _amount("receipt", "net_amount", "net_units"),
    Field("counterparty_name", "receipt", "payer_name"),
    *_copied("receipt", "payer_document", "payer_ispb", "payer_bank_name"),
    *_at("receipt", "paid_at"),
    *_copied("receipt", "origin", "late"),
)

_PAID_AGAIN: Final = (*_PAID, Field("charge_transaction_id", "charge", "id"))

_PAYOUT: Final = (
    *_copied("payout", "transaction_id", "external_id", "end_to_end_id"),
    _amount("payout"),
    _amount("payout", "fee_amount", "fee_units"),
    _amount("payout", "net_amount", "net_units"),
    Field("recipient_key", "payout", "recipient_key"),
    Field("counterparty_name", "payout", "counterparty_name", optional=True),
    Field("description", "payout", "description"),
    *_at("payout", "created_at"),
)

_REFUND: Final = (
    *_copied("refund", "refund_id", "transaction_id", "end_to_end_id"),
    _amount("refund"),
    Field("reason", "refund", "reason"),
    *_at("refund", "requested_at"),
    *_copied("refund", "origin", "external_id"),
)

_MED: Final = (
    *_copied("med", "med_id", "transaction_id", "end_to_end_id"),
    _amount("med"),
    Field("reason", "med", "reason"),
    *_at("med", "requested_at"),
    Field("defense_deadline", "med", "defense_deadline", _micros, optional=True),
    Field("origin", "med", "med_id", lambda _: '"med"'),
    Field("external_id", "med", "external_id"),
)

_INFRACTION: Final = (
    *_copied("infraction", "med_id", "infraction_type"),
    _amount("infraction"),
    *_copied("infraction", "e2e_id", "transaction_id"),
    *_at("infraction", "defense_deadline"),
    Field("counterpart_ispb", "infraction", "counterpart_ispb"),
    *_at("infraction", "created_at"),
)

BODIES: Final[Mapping[str, Body]] = {
    "pix.charge.created": Body(
        "created",
        (*_CHARGE, _amount("charge"), *_copied("charge", "description", "qr_code"),
         *_at("charge", "expires_at", "created_at")),
    ),
    "pix.charge.paid": Body("paid", _PAID),
    "pix.charge.expired": Body(
        "expired", (*_CHARGE, _amount("charge"), *_at("charge", "expires_at", "expired_at"))
    ),
    "pix.charge.cancelled": Body("cancelled", (*_CHARGE, _amount("charge"), *_at("charge", "cancelled_at"))),
    "pix.payout.processing": Body("processing", _PAYOUT),
    "pix.payout.queued": Body("queued", _PAYOUT),
    "pix.payout.held": Body("processing", _PAYOUT),
    "pix.payout.confirmed": Body("settled", (*_PAYOUT, *_at("payout", "completed_at"))),
    "pix.payout.failed": Body(
        "rejected",
        (*_PAYOUT, Field("failure_reason", "payout", "failure_reason"), *_at("payout", "failed_at"),
         *_copied("payout", "failure_code", "retryable")),
    ),
    "pix.payout.returned": Body(
        "returned",
        (*_copied("return", "transaction_id", "external_id", "end_to_end_id", "return_id"), _amount("return"),
         Field("reason", "return", "reason"), *_at("return", "returned_at"),
         _amount("return", "total_returned", "total_returned_units")),
    ),
    "pix.return.received": Body(
        "received",
        (*_copied("return", "transaction_id", "end_to_end_id", "return_id"), _amount("return"),
         Field("reason", "return", "reason"), Field("received_at", "return", "returned_at", _micros),
         Field("external_id", "return", "external_id")),
    ),
    "pix.refund.requested": Body("requested", _REFUND),
    "pix.refund.completed": Body(
        "completed",
        (*_REFUND, *_at("refund", "completed_at"), _amount("refund", "returned_amount", "returned_units"),
         Field("return_id", "refund", "return_id", optional=True)),
    ),
    "pix.refund.failed": Body(
        "failed",
        (*_REFUND, *_at("refund", "failed_at"), *_copied("refund", "failure_reason", "failure_code")),
    ),
    "pix.infraction.created": Body("ACKNOWLEDGED", _INFRACTION),
    "pix.infraction.defense_submitted": Body(
        "defense_submitted", (*_INFRACTION, *_at("infraction", "defense_submitted_at"))
    ),
    "pix.infraction.resolved": Body(
        "CLOSED",
        (*_INFRACTION, Field("analysis_result", "infraction", "analysis_result"),
         *_at("infraction", "resolved_at")),
        status_part="infraction",
    ),
    "webhook.test": Body(
        "test", (*_copied("test", "webhook_id", "message"), *_at("test", "created_at"))
    ),
}  # fmt: skip

_BODIES_OF_A_MED: Final[Mapping[str, Body]] = {
    "pix.refund.requested": Body("requested", _MED),
    "pix.refund.completed": Body(
        "completed",
        (*_MED, *_at("med", "completed_at"), _amount("med", "returned_amount", "returned_units"),
         Field("return_id", "med", "return_id", optional=True),
         Field("analysis_result", "med", "analysis_result", optional=True)),
    ),
}  # fmt: skip

_BODY_OF_A_REPEAT: Final = Body("paid", _PAID_AGAIN)


def render(event: RecordedEvent) -> bytes:
    """Return the body of an event. Raises KeyError where the document lacks a part."""
    document = event.document
    merchant = document["merchant"]
    body = _body_of(str(event.pix_type), document)
    status = body.status if body.status_part is None else document[body.status_part]["status"]
    return object_of(
        [
            ("event_type", text_of(event.pix_type)),
            ("status", text_of(status)),
            ("account_id", text_of(merchant["account_id"])),
            ("entity_id", text_of(merchant["uuid"])),
            *(
                (field.name, _written(field, document))
                for field in body.fields
                if not (field.optional and _value(field, document) is None)
            ),
        ]
    ).encode()


def _body_of(name: str, document: Part) -> Body:
    if document.get("med") is not None and name in _BODIES_OF_A_MED:
        return _BODIES_OF_A_MED[name]
    if name == "pix.charge.paid" and document["receipt"]["origin"] == "repeat":
        return _BODY_OF_A_REPEAT
    return BODIES[name]


def _value(field: Field, document: Part) -> Any:
    part = document.get(field.part)
    if part is None:
        if field.part_optional:
            return None
        raise KeyError(field.part)
    return part.get(field.key) if field.optional else part[field.key]


def _written(field: Field, document: Part) -> str:
    value = _value(field, document)
    return NULL if value is None else field.written(value)
