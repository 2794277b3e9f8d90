"""Bodies of the standard dialect, version 2026-11-01: type, time of the event, and the object (webhooks.md §10).

Amounts are decimal texts with their currency. A thin body names the object and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from opentill.kernel.clock import Instant, iso_micros
from opentill.kernel.money import Currency, Money
from opentill.kernel.money import render as money_text
from opentill.webhooks.bodies.json_text import EMPTY, NULL, object_of, text_of
from opentill.webhooks.catalogue import TEST_EVENT
from opentill.webhooks.model import PayloadStyle, RecordedEvent

VERSION: Final = "2026-11-01"
UNITS_PER_MINOR: Final = 100
REAL: Final = Currency("BRL", 2)  # of everything on the PIX rail

Fields = list[tuple[str, str]]
Part = Mapping[str, Any]


def render(event: RecordedEvent, style: PayloadStyle) -> bytes:
    """Return the body of an event, whole or thin."""
    fields = _object(event)
    if style is PayloadStyle.THIN:
        fields = [field for field in fields if field[0] in ("object", "id")]
    return object_of(
        [("type", text_of(event.type)), ("timestamp", _at(event.occurred_at)), ("data", object_of(fields))]
    ).encode()


def _object(event: RecordedEvent) -> Fields:
    family = event.type.partition(".")[0]
    written = _test if event.type == TEST_EVENT else _OBJECTS[family]
    return written(event, event.document)


def _payment(_: RecordedEvent, document: Part) -> Fields:
    payment = document["payment"]
    of = Currency(payment["currency"], payment["exponent"])
    net = payment["net_units"]
    return [
        ("object", text_of("payment")),
        ("id", text_of(payment["uuid"])),
        ("reference", text_of(payment["reference"])),
        ("order_id", text_of(payment["order_id"])),
        ("status", text_of(payment["status"])),
        ("amount", _money(payment["amount_units"], of)),
        ("amount_refunded", _money(payment["refunded_units"], of)),
        ("fee", _money(payment["fee_units"], of)),
        ("net", NULL if net is None else _money(net, of)),
        ("gateway", text_of(payment["gateway"])),
        ("gateway_reference", text_of(payment["gateway_trx_id"])),
        ("rail", text_of(payment["method"])),
        ("late", text_of(payment["late"])),
        ("customer", object_of((n, text_of(payment["customer"].get(n) or "")) for n in ("name", "email", "phone"))),
        ("metadata", text_of(payment["metadata"])),
        ("created_at", _at(payment["created_at"])),
        ("paid_at", _at(payment["paid_at"])),
    ]


def _charge(event: RecordedEvent, document: Part) -> Fields:
    charge, receipt = document.get("charge") or {}, document.get("receipt") or {}
    paid_at = receipt.get("paid_at")
    return [
        ("object", text_of("charge")),
        ("id", text_of(receipt.get("transaction_id") or charge["id"])),
        ("payment_id", _payment_id(document)),
        ("external_id", text_of(charge.get("external_id"))),
        ("rail", text_of("pix")),
        ("status", text_of(_CHARGE_STATUS[event.type])),
        ("amount", _money((receipt or charge)["amount_units"], REAL)),
        ("end_to_end_id", text_of(receipt.get("end_to_end_id"))),
        ("created_at", _at(charge.get("created_at") or paid_at)),
        ("expires_at", _at(charge.get("expires_at"))),
        ("paid_at", _at(paid_at)),
        ("payer", _payer(receipt)),
        ("description", text_of(charge.get("description"))),
    ]


_CHARGE_STATUS: Final = {
    "charge.created": "active",
    "charge.paid": "completed",
    "charge.expired": "expired",
    "charge.cancelled": "cancelled",
}


def _payer(receipt: Part) -> str:
    if receipt.get("payer_name") is None and receipt.get("payer_document") is None:
        return NULL
    names = (
        ("name", "payer_name"),
        ("document", "payer_document"),
        ("ispb", "payer_ispb"),
        ("bank", "payer_bank_name"),
    )
    return object_of((name, text_of(receipt.get(key))) for name, key in names)


def _refund(event: RecordedEvent, document: Part) -> Fields:
    refund = document["refund"]
    return [
        ("object", text_of("refund")),
        ("id", text_of(refund["uuid"])),
        ("payment_id", _payment_id(document)),
        ("payment_reference", _payment_reference(document)),
        ("status", text_of(refund["status"])),
        ("amount", _money(refund["amount_units"], _currency(refund))),
        ("reason", text_of(refund.get("reason"))),
        ("created_at", _at(refund.get("requested_at") or event.occurred_at)),
        ("completed_at", _at(refund.get("completed_at") or refund.get("processed_at"))),
        ("failure_code", text_of(refund.get("failure_code"))),
        ("return_id", text_of(refund.get("return_id"))),
        ("end_to_end_id", text_of(refund.get("end_to_end_id"))),
    ]


def _dispute(event: RecordedEvent, document: Part) -> Fields:
    dispute, med = document.get("dispute"), document.get("med") or {}
    told = dispute if dispute is not None else med
    resolved = event.type == "dispute.resolved"
    return [
        ("object", text_of("dispute")),
        ("id", text_of(told["uuid"] if dispute is not None else med["med_id"])),
        ("payment_id", _payment_id(document)),
        ("payment_reference", _payment_reference(document)),
        ("kind", text_of("med" if med else "chargeback")),
        ("status", text_of(told.get("status") or ("resolved" if resolved else "open"))),
        ("amount", _money(told["amount_units"], _currency(told))),
        ("reason", text_of(told.get("reason"))),
        ("created_at", _at(med.get("requested_at") or event.occurred_at)),
        ("due_at", _at(med.get("defense_deadline"))),
        ("resolved_at", _at((med.get("completed_at") or event.occurred_at) if resolved else None)),
        ("end_to_end_id", text_of(med.get("end_to_end_id"))),
    ]


def _infraction(_: RecordedEvent, document: Part) -> Fields:
    told = document["infraction"]
    return [
        ("object", text_of("infraction")),
        ("id", text_of(told["med_id"])),
        ("payment_id", _payment_id(document)),
        ("kind", text_of(told["infraction_type"])),
        ("status", text_of(told["status"])),
        ("amount", _money(told["amount_units"], REAL)),
        ("end_to_end_id", text_of(told.get("e2e_id"))),
        ("due_at", _at(told.get("defense_deadline"))),
        ("created_at", _at(told["created_at"])),
        ("resolved_at", _at(told.get("resolved_at"))),
        ("reason", text_of(told.get("analysis_result"))),
    ]


def _payout(event: RecordedEvent, document: Part) -> Fields:
    payout, returned = document.get("payout") or {}, document.get("return") or {}
    return [
        ("object", text_of("payout")),
        ("id", text_of(payout.get("transaction_id") or returned["transaction_id"])),
        ("status", text_of(event.type.partition(".")[2])),
        ("amount", _money((payout or returned)["amount_units"], REAL)),
        ("fee", _money(payout.get("fee_units") or 0, REAL)),
        ("recipient_key", text_of(payout.get("recipient_key"))),
        ("external_id", text_of(payout.get("external_id") or returned.get("external_id"))),
        ("end_to_end_id", text_of(payout.get("end_to_end_id") or returned.get("end_to_end_id"))),
        ("created_at", _at(payout.get("created_at") or event.occurred_at)),
        ("completed_at", _at(payout.get("completed_at"))),
        ("failure_code", text_of(payout.get("failure_code"))),
        ("return_id", text_of(returned.get("return_id"))),
        ("description", text_of(payout.get("description"))),
        ("reason", text_of(returned.get("reason"))),
    ]


def _return(_: RecordedEvent, document: Part) -> Fields:
    told = document["return"]
    return [
        ("object", text_of("return")),
        ("id", text_of(told["return_id"])),
        ("kind", text_of("payout")),
        ("amount", _money(told["amount_units"], REAL)),
        ("end_to_end_id", text_of(told.get("end_to_end_id"))),
        ("return_id", text_of(told["return_id"])),
        ("reason", text_of(told.get("reason"))),
        ("external_id", text_of(told.get("external_id"))),
        ("created_at", _at(told["returned_at"])),
    ]


def _invoice(_: RecordedEvent, document: Part) -> Fields:
    invoice, payment = document["invoice"], document.get("payment") or {}
    return [
        ("object", text_of("invoice")),
        ("id", text_of(invoice["uuid"])),
        ("number", text_of(invoice["number"])),
        ("status", text_of(invoice["status"])),
        ("amount", _money(invoice["total_units"], _currency(invoice))),
        ("payment_id", _payment_id(document)),
        ("metadata", text_of(payment.get("metadata") or {})),
    ]


def _link(_: RecordedEvent, document: Part) -> Fields:
    link, payment = document["link"], document["payment"]
    return [
        ("object", text_of("payment_link")),
        ("id", text_of(link["uuid"])),
        ("slug", text_of(link["slug"])),
        ("title", text_of(link["title"])),
        ("payment_id", _payment_id(document)),
        ("amount", _money(payment["amount_units"], _currency(payment))),
    ]


def _customer(event: RecordedEvent, document: Part) -> Fields:
    customer = document["customer"]
    return [
        ("object", text_of("customer")),
        ("id", text_of(customer["uuid"])),
        *((name, text_of(customer.get(name) or "")) for name in ("name", "email", "phone")),
        ("metadata", text_of(customer.get("metadata") or {})),
        ("created_at", _at(customer.get("created_at") or event.occurred_at)),
    ]


def _endpoint(_: RecordedEvent, document: Part) -> Fields:
    told = document["endpoint"]
    return [
        ("object", text_of("endpoint")),
        *((name, text_of(told[name])) for name in ("id", "url", "state")),
        ("failing_since", _at(told.get("failing_since"))),
        ("failed_attempts", text_of(told["failed_attempts"])),
        ("last_error", text_of(told.get("last_error"))),
        ("disable_at", _at(told.get("disable_at"))),
    ]


def _delivery(_: RecordedEvent, document: Part) -> Fields:
    told = document["delivery"]
    names = ("id", "endpoint_id", "event_id", "event_type", "attempts", "last_error", "url")
    return [("object", text_of("delivery")), *((name, text_of(told.get(name))) for name in names)]


def _test(event: RecordedEvent, document: Part) -> Fields:
    told = document["test"]
    return [
        ("object", text_of("test")),
        ("id", text_of(event.id)),
        ("endpoint_id", text_of(told["webhook_id"])),
        ("message", text_of(told["message"])),
        ("created_at", _at(told["created_at"])),
    ]


_OBJECTS: Final[Mapping[str, Callable[[RecordedEvent, Part], Fields]]] = {
    "payment": _payment,
    "charge": _charge,
    "refund": _refund,
    "dispute": _dispute,
    "infraction": _infraction,
    "payout": _payout,
    "return": _return,
    "invoice": _invoice,
    "payment_link": _link,
    "customer": _customer,
    "endpoint": _endpoint,
    "delivery": _delivery,
}


def _payment_id(document: Part) -> str:
    payment = document.get("payment")
    return NULL if payment is None else text_of(payment["uuid"])


def _payment_reference(document: Part) -> str:
    payment = document.get("payment")
    return EMPTY if payment is None else text_of(payment["reference"])


def _currency(part: Part) -> Currency:
    return Currency(part["currency"], part["exponent"]) if "exponent" in part else REAL


def _money(units: int, of: Currency) -> str:
    return object_of([("value", f'"{_decimal(units, of)}"'), ("currency", text_of(of.code))])


def _decimal(units: int, of: Currency) -> str:
    """Write the currency's decimals, and more only where there is a part of a minor unit."""
    if units % UNITS_PER_MINOR == 0:
        return money_text(Money(units, of))
    places = of.exponent + 2
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}}".rstrip("0")


def _at(instant: int | None) -> str:
    return NULL if instant is None else f'"{iso_micros(Instant(instant))}"'
