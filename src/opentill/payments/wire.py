"""Payments on the wire of the merchant API: reading requests, writing objects (merchant-api.md §9.2–§9.5)."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.money import (
    Currency,
    MalformedAmountError,
    Money,
    UnknownCurrencyError,
    currency,
    parse,
    render,
)
from opentill.kernel.number import OutOfRangeError, ordinary
from opentill.payments.model import Contact, Detail, Order, Payment, PaymentStatus
from opentill.payments.rules import shown_status

NAME_MAX: Final = 150
EMAIL_MAX: Final = 254
PHONE_MAX: Final = 30
DESCRIPTION_MAX: Final = 500
REFERENCE_MAX: Final = 255
URL_MAX: Final = 2_048
GATEWAY_MAX: Final = 60
METADATA_BYTES_MAX: Final = 16 * 1024
EXPIRES_IN_S: Final = (60, 2_592_000)
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
NOT_PHONE: Final = re.compile(r"[^0-9+() -]")
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # but not tab and line breaks
UNWRITABLE: Final = re.compile(r"[\s\\]")
WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class _Fields:
    """One request's fields, read one by one; every fault is kept, so that one answer names them all.

    The first of a field's names wins; a fault is told under the name the caller sent. Numbers arrive as their
    literal text. Empty text counts as absent.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self.faults: list[Fault] = []

    def fault(self, field: str, code: str, message: str) -> None:
        self.faults.append(Fault(field, code, message))

    def raw(self, *names: str) -> tuple[str, Any]:
        """Return the name that was sent and its value, or the first name and None."""
        for name in names:
            value = self._fields.get(name) if "." not in name else self._inside(*name.split("."))
            if value is not None and value != "":
                return name, value
        return names[0], None

    def _inside(self, outer: str, name: str) -> Any:
        """Return a field of a field, such as the customer's name."""
        value = self._fields.get(outer)
        return value.get(name) if isinstance(value, dict) else None

    def text(self, *names: str, required: bool = False, most: int | None = None, cut: int | None = None) -> str | None:
        name, value = self.raw(*names)
        if isinstance(value, bool):
            value = "true" if value else "false"
        if value is not None and not isinstance(value, str):
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must be text.")
            return None
        stripped = value.strip() if value is not None else ""
        if not stripped:
            if required:
                self.fault(name, "VALIDATION_FAILED", f"The {name} field is required.")
            return None
        if CONTROL.search(stripped):
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must not contain control characters.")
            return None
        if most is not None and len(stripped) > most:
            self.fault(name, "VALIDATION_FAILED", f"The {name} field must have at most {most} characters.")
            return None
        return stripped[:cut]

    def amount(self, of: Currency | None) -> Money | None:
        name, value = self.raw("amount")
        if value is None:
            self.fault(name, "INVALID_AMOUNT", "The amount field is required.")
            return None
        if not isinstance(value, str):
            self.fault(name, "INVALID_AMOUNT", "The amount must be a plain decimal number, for example 99.90.")
            return None
        try:
            amount = parse(value, of or currency("USD"))
        except MalformedAmountError as malformed:
            if of is not None or "plain decimal" in str(malformed):
                self.fault(name, "INVALID_AMOUNT", str(malformed))
            return None
        if amount.units == 0:
            self.fault(name, "INVALID_AMOUNT", "amount must be greater than zero")
        return amount

    def currency(self) -> Currency | None:
        name, value = self.raw("currency")
        if value is None:
            self.fault(name, "INVALID_CURRENCY", "The currency field is required.")
            return None
        try:
            return currency(value.strip().upper() if isinstance(value, str) else "")
        except UnknownCurrencyError:
            self.fault(name, "INVALID_CURRENCY", "Invalid currency code.")
            return None

    def url(self, *names: str, code: str, required: bool = False) -> str | None:
        name, _ = self.raw(*names)
        before = len(self.faults)
        value = self.text(*names, required=required)
        if len(self.faults) > before:
            self.faults[-1] = Fault(name, code, self.faults[-1].message)
        if value is not None and not _is_web_address(value):
            self.fault(name, code, f"The {name} field must be an absolute http or https address.")
            return None
        return value

    def metadata(self) -> str:
        name, value = self.raw("metadata")
        if value is None or value == []:
            return "{}"
        if not isinstance(value, Mapping):
            self.fault(name, "VALIDATION_FAILED", "The metadata field must be an object.")
            return "{}"
        try:
            text = plain_json(ordinary(value))
        except OutOfRangeError as number:
            self.fault(name, "VALIDATION_FAILED", f"The metadata field holds a number nobody can read: {number}.")
            return "{}"
        if len(text.encode()) > METADATA_BYTES_MAX:
            self.fault(name, "VALIDATION_FAILED", "The metadata field must have at most 16 KiB as JSON.")
        return text

    def expires_in(self) -> int | None:
        name, value = self.raw("expires_in")
        if value is None:
            return None
        least, most = EXPIRES_IN_S
        if isinstance(value, str) and WHOLE.fullmatch(value) and least <= int(value) <= most:
            return int(value)
        self.fault(name, "VALIDATION_FAILED", f"The expires_in field must be a whole number from {least} to {most}.")
        return None


def parse_intent(fields: Mapping[str, Any]) -> Order:
    """Read the body of POST /payment-intents. Raises Invalid with every fault."""
    read = _Fields(fields)
    gateway = read.text("gateway", required=True, most=GATEWAY_MAX)
    in_currency = read.currency()
    amount = read.amount(in_currency)
    order_id = read.text("order_id", "reference", required=True, most=REFERENCE_MAX)
    name = read.text("customer_name", "customer.name", required=True, cut=NAME_MAX)
    email = _email(read, required=True)
    order = Order(
        amount=amount or Money(0, in_currency or currency("USD")),
        order_id=order_id,
        description=read.text("description", cut=DESCRIPTION_MAX),
        contact=Contact(name or "", email or "", _phone(read)),
        redirect_url=read.url("return_url", "redirect_url", code="INVALID_REDIRECT_URL", required=True),
        cancel_url=read.url("cancel_url", code="INVALID_CANCEL_URL"),
        callback_url=read.url("callback_url", "webhook_url", code="INVALID_CALLBACK_URL"),
        gateway=gateway,
        gateway_fixed=True,
        metadata=read.metadata(),
        expires_in_s=read.expires_in(),
    )
    if read.faults:
        raise Invalid(read.faults)
    return order


def parse_payment(fields: Mapping[str, Any], *, callback_bare: bool = False) -> Order:
    """Read the body of POST /payments. Raises Invalid with every fault.

    A malformed e-mail address is dropped; a gateway is only a wish.
    """
    read = _Fields(fields)
    in_currency = read.currency()
    amount = read.amount(in_currency)
    order = Order(
        amount=amount or Money(0, in_currency or currency("USD")),
        order_id=read.text("reference", "order_id", most=REFERENCE_MAX),
        description=read.text("description", cut=DESCRIPTION_MAX),
        contact=Contact(
            read.text("customer_name", "customer.name", cut=NAME_MAX) or "", _email(read) or "", _phone(read)
        ),
        redirect_url=read.url("redirect_url", "return_url", code="INVALID_REDIRECT_URL"),
        cancel_url=read.url("cancel_url", code="INVALID_CANCEL_URL"),
        callback_url=read.url("callback_url", "webhook_url", code="INVALID_CALLBACK_URL"),
        callback_bare=callback_bare,
        gateway=read.text("gateway", cut=GATEWAY_MAX),
        metadata=read.metadata(),
        expires_in_s=read.expires_in(),
    )
    if read.faults:
        raise Invalid(read.faults)
    return order


def created_object(payment: Payment, base_url: str) -> dict[str, Any]:
    """Return the `data` of a creation (merchant-api.md §9.2)."""
    address = checkout_url(payment, base_url)
    return {
        "payment_id": payment.uuid,
        "token": payment.token,
        "checkout_url": address,
        "payment_url": address,
        "status": payment.status.value,
        "trx_id": payment.reference,
        "transaction_id": payment.reference,
        "amount": render(payment.amount),
        "currency": payment.amount.currency.code,
        "reference": payment.order_id,
        "order_id": payment.order_id,
        "expires_at": iso_seconds(payment.expires_at),
    }


def payment_object(payment: Payment, base_url: str, *, now: Instant) -> dict[str, Any]:
    """Return the payment object (merchant-api.md §9.4)."""
    address = checkout_url(payment, base_url)
    shown = {
        "id": payment.id,
        "payment_id": payment.uuid,
        "uuid": payment.uuid,
        "token": payment.token,
        "trx_id": payment.reference,
        "transaction_id": payment.reference,
        "gateway_trx_id": payment.gateway_ref,
        **_money(payment),
        "status": shown_status(payment, now).value,
        "gateway": payment.gateway,
        "method": "api",
        "reference": payment.order_id,
        "order_id": payment.order_id,
        "description": payment.description,
        **_refunds(payment),
        "charge": None,
        "late": payment.late,
        "checkout_url": address,
        "payment_url": address,
        "redirect_url": payment.redirect_url,
        "cancel_url": payment.cancel_url,
        "callback_url": payment.callback_url,
        "payment_link": None,
        "invoice": None,
        "metadata": json.loads(payment.metadata),
        **_times(payment),
        "expires_at": iso_seconds(payment.expires_at),
        "paid_at": _instant(payment.completed_at),
    }
    if payment.contact.known:
        shown["customer"] = _customer(payment)
    return shown


def transaction_object(payment: Payment, *, now: Instant) -> dict[str, Any]:
    """Return the transaction object (merchant-api.md §9.5)."""
    detail = payment.detail
    if detail is Detail.PENDING and shown_status(payment, now) is PaymentStatus.EXPIRED:
        detail = Detail.EXPIRED
    return {
        "id": payment.id,
        "trx_id": payment.reference,
        "transaction_id": payment.reference,
        "payment_id": payment.uuid,
        "gateway_trx_id": payment.gateway_ref,
        **_money(payment),
        "status": detail.value,
        "payment_status": shown_status(payment, now).value,
        "gateway": payment.gateway,
        "gateway_type": "api" if payment.gateway else None,
        "method": "api",
        "reference": payment.order_id,
        "order_id": payment.order_id,
        **_refunds(payment),
        "dispute_status": None,
        "charge": None,
        "customer": _customer(payment),
        "metadata": json.loads(payment.metadata),
        **_times(payment),
    }


def checkout_url(payment: Payment, base_url: str) -> str:
    return f"{base_url}/checkout/{payment.token}"


def plain_json(value: object) -> str:
    """Write a JSON value compactly."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _money(payment: Payment) -> dict[str, Any]:
    return {
        "amount": render(payment.amount),
        "currency": payment.amount.currency.code,
        "fee": render(payment.fee),
        "net_amount": _net(payment),
    }


def _net(payment: Payment) -> str | None:
    """Show amount − the fee as shown, so that the three add up on paper (merchant-api.md §6.3)."""
    return render(payment.amount - payment.fee.rounded()) if payment.net is not None else None


def _refunds(payment: Payment) -> dict[str, Any]:
    part = "none" if not payment.refunded.units else "full" if payment.refunded == payment.amount else "partial"
    return {"amount_refunded": render(payment.refunded), "refund_status": part, "disputed": False}


def _times(payment: Payment) -> dict[str, Any]:
    return {
        "created_at": iso_seconds(payment.created_at),
        "updated_at": iso_seconds(payment.updated_at),
        "completed_at": _instant(payment.completed_at),
    }


def _instant(instant: Instant | None) -> str | None:
    return iso_seconds(instant) if instant is not None else None


def _customer(payment: Payment) -> dict[str, str | None]:
    who = payment.contact
    return {"name": who.name or None, "email": who.email or None, "phone": who.phone or None}


def _email(read: _Fields, *, required: bool = False) -> str | None:
    names = (
        ("customer_email", "customer_mail", "customer.email")
        if required
        else ("customer_mail", "customer_email", "customer.email")
    )
    name, _ = read.raw(*names)
    email = read.text(*names, required=required)
    if email is None or (EMAIL.fullmatch(email) and len(email) <= EMAIL_MAX):
        return email
    if required:
        read.fault(name, "VALIDATION_FAILED", f"The {name} field must be an e-mail address.")
    return None


def _phone(read: _Fields) -> str:
    text = read.text("customer_phone", "customer.phone")
    return NOT_PHONE.sub("", text)[:PHONE_MAX].strip() if text else ""


def _is_web_address(text: str) -> bool:
    """Tell whether a text is an absolute http(s) address with a host, at most 2,048 characters, without blanks."""
    if len(text) > URL_MAX or UNWRITABLE.search(text):
        return False
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_fine
