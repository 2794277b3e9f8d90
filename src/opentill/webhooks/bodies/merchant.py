"""Bodies of the merchant dialect, version 1.0: one flat object plus `data` (merchant-api.md §14.4)."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.money import Currency, Money
from opentill.kernel.money import render as money_text
from opentill.webhooks.bodies.json_text import EMPTY, NULL, object_of, text_of
from opentill.webhooks.catalogue import TEST_EVENT
from opentill.webhooks.model import AmountFormat, RecordedEvent

VERSION: Final = "1.0"

# A test must look like a payment and match none, so that no shop can mark an order paid by it.
NO_PAYMENT_UUID: Final = "00000000-0000-4000-8000-000000000000"
NO_PAYMENT_REFERENCE: Final = "txn_0000000000000000"

Fields = list[tuple[str, str]]
Part = Mapping[str, Any]


def render(event: RecordedEvent, amounts: AmountFormat) -> bytes:
    """Return the body of an event, amounts as text or as numbers."""
    document = event.document
    payment = document.get("payment")
    if payment is not None:
        fields = _payment_fields(payment, document, amounts)
        data = _payment_data(payment, fields)
    elif event.type == TEST_EVENT:
        fields = _test_fields(event, amounts)
        data = object_of([("id", text_of(NO_PAYMENT_UUID)), *fields])
    else:
        fields = _fields_without_payment(document, amounts, created_at=event.occurred_at)
        data = _bare_object(document, amounts)
    return object_of(
        [
            ("event", text_of(event.merchant_type)),
            ("id", text_of(event.id)),
            ("api_version", text_of(VERSION)),
            *fields,
            ("timestamp", _seconds(event.occurred_at)),
            ("data", data),
        ]
    ).encode()


def _payment_fields(payment: Part, document: Part, amounts: AmountFormat) -> Fields:
    currency = Currency(payment["currency"], payment["exponent"])
    amount = Money(payment["amount_units"], currency)
    fee = Money(payment["fee_units"], currency).rounded()

    def shown(money: Money) -> str:
        return _amount(money, amounts)

    return [
        ("transaction_id", text_of(payment["reference"])),
        ("payment_id", text_of(payment["uuid"])),
        ("order_id", text_of(payment["order_id"])),
        ("reference", text_of(payment["order_id"])),
        ("gateway_trx_id", text_of(payment["gateway_trx_id"])),
        ("amount", shown(amount)),
        ("currency", text_of(currency.code)),
        ("fee", shown(fee)),
        # What is shown adds up, although PIX fees are kept finer than they are shown.
        ("net_amount", NULL if payment["net_units"] is None else shown(amount - fee)),
        ("amount_refunded", shown(Money(payment["refunded_units"], currency))),
        ("charge", _conversion(payment.get("charge"), amounts)),
        ("gateway", text_of(payment["gateway"])),
        ("gateway_type", text_of(payment["gateway_type"])),
        ("method", text_of(payment["method"])),
        ("status", text_of(_status(payment))),
        ("late", text_of(payment["late"])),
        ("disputed", text_of(payment["disputed"])),
        ("customer", _customer(payment["customer"])),
        ("metadata", text_of(payment["metadata"])),
        *_objects(document, amounts),
        ("paid_at", _seconds(payment["paid_at"])),
        ("created_at", _seconds(payment["created_at"])),
    ]


def _payment_data(payment: Part, fields: Fields) -> str:
    """Repeat the flat keys under `data`, led by the ids receivers look orders up by."""
    rest = dict(fields)
    lead = [
        ("id", text_of(payment["uuid"])),
        ("payment_id", rest.pop("payment_id")),
        ("transaction_id", rest.pop("transaction_id")),
    ]
    return object_of([*lead, *rest.items()])


def _fields_without_payment(document: Part, amounts: AmountFormat, *, created_at: Instant) -> Fields:
    customer = document.get("customer") or {}
    zero = "0.00" if amounts is AmountFormat.NUMBER else '"0.00"'
    return [
        *((name, EMPTY) for name in ("transaction_id", "payment_id", "order_id", "reference")),
        ("gateway_trx_id", EMPTY),
        ("amount", zero),
        ("currency", EMPTY),
        ("fee", zero),
        ("net_amount", NULL),
        ("amount_refunded", zero),
        ("charge", NULL),
        *((name, EMPTY) for name in ("gateway", "gateway_type", "method", "status")),
        ("late", "false"),
        ("disputed", "false"),
        ("customer", _customer(customer)),
        ("metadata", "{}"),
        *_objects(document, amounts),
        ("paid_at", NULL),
        ("created_at", _seconds(customer.get("created_at") or created_at)),
    ]


def _test_fields(event: RecordedEvent, amounts: AmountFormat) -> Fields:
    sample = {
        "transaction_id": text_of(NO_PAYMENT_REFERENCE),
        "payment_id": text_of(NO_PAYMENT_UUID),
        "currency": text_of("USD"),
        "status": text_of("test"),
    }
    empty = _fields_without_payment({}, amounts, created_at=event.occurred_at)
    return [(name, sample.get(name, encoded)) for name, encoded in empty]


def _bare_object(document: Part, amounts: AmountFormat) -> str:
    """Return `data` of an event that is about no payment: the object itself, its `id` the UUID."""
    customer, invoice = document.get("customer"), document.get("invoice")
    if customer is not None:
        return object_of(
            [
                ("id", text_of(customer["uuid"])),
                *((name, text_of(customer[name])) for name in ("name", "email", "phone", "metadata")),
                ("created_at", _seconds(customer["created_at"])),
            ]
        )
    if invoice is not None:
        return object_of([("id", text_of(invoice["uuid"])), *_invoice_fields(invoice, amounts)])
    raise KeyError("payment, customer or invoice")


def _objects(document: Part, amounts: AmountFormat) -> Fields:
    refund, dispute = document.get("refund"), document.get("dispute")
    invoice, link = document.get("invoice"), document.get("link")
    return [
        ("refund", NULL if refund is None else _refund(refund, amounts)),
        ("dispute", NULL if dispute is None else _dispute(dispute, amounts)),
        ("invoice", NULL if invoice is None else object_of(_invoice_fields(invoice, amounts))),
        ("payment_link", NULL if link is None else _plain(link, ("uuid", "slug", "title"))),
    ]


def _refund(refund: Part, amounts: AmountFormat) -> str:
    return object_of(
        [
            ("id", text_of(refund["id"])),
            ("uuid", text_of(refund["uuid"])),
            ("amount", _amount_in(refund, "amount_units", amounts)),
            ("currency", text_of(refund["currency"])),
            ("reason", text_of(refund["reason"])),
            ("status", text_of(refund["status"])),
            ("gateway_refund_id", text_of(refund.get("gateway_refund_id"))),
            ("processed_at", _seconds(refund.get("processed_at"))),
        ]
    )


def _dispute(dispute: Part, amounts: AmountFormat) -> str:
    return object_of(
        [
            ("id", text_of(dispute["id"])),
            ("uuid", text_of(dispute["uuid"])),
            ("amount", _amount_in(dispute, "amount_units", amounts)),
            ("reason", text_of(dispute["reason"])),
            ("status", text_of(dispute["status"])),
        ]
    )


def _invoice_fields(invoice: Part, amounts: AmountFormat) -> Fields:
    return [
        ("uuid", text_of(invoice["uuid"])),
        ("number", text_of(invoice["number"])),
        ("total", _amount_in(invoice, "total_units", amounts)),
        ("status", text_of(invoice["status"])),
    ]


def _conversion(charge: Part | None, amounts: AmountFormat) -> str:
    if charge is None:
        return NULL
    return object_of(
        [
            ("amount", _amount_in(charge, "amount_units", amounts)),
            ("currency", text_of(charge["currency"])),
            ("rate", text_of(charge["rate"])),
            ("rate_at", _seconds(charge["rate_at"])),
        ]
    )


def _customer(customer: Part) -> str:
    return object_of((name, text_of(customer.get(name) or "")) for name in ("name", "email", "phone"))


def _status(payment: Part) -> str:
    """Return the payment word, or `refunded` once all of it went back."""
    refunded: int = payment["refunded_units"]
    if payment["status"] == "completed" and 0 < payment["amount_units"] <= refunded:
        return "refunded"
    return str(payment["status"])


def _plain(part: Part, names: tuple[str, ...]) -> str:
    return object_of((name, text_of(part[name])) for name in names)


def _amount_in(part: Part, units: str, amounts: AmountFormat) -> str:
    return _amount(Money(part[units], Currency(part["currency"], part["exponent"])), amounts)


def _amount(money: Money, amounts: AmountFormat) -> str:
    """Write with exactly the currency's decimals; a number is written by digits, never as a float."""
    text = money_text(money)
    return text if amounts is AmountFormat.NUMBER else f'"{text}"'


def _seconds(instant: int | None) -> str:
    return NULL if instant is None else f'"{iso_seconds(Instant(instant))}"'
