"""Payments on the wire of the merchant API: reading requests, writing objects (merchant-api.md §9.2–§9.5)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Invalid
from opentill.kernel.json_text import written
from opentill.kernel.money import Money, currency, render
from opentill.payments.fields import Fields
from opentill.payments.model import Changes, Contact, Detail, InvoiceName, Order, Payment, PaymentStatus
from opentill.payments.rules import shown_status

NAME_MAX: Final = 150
EMAIL_MAX: Final = 254
PHONE_MAX: Final = 30
DESCRIPTION_MAX: Final = 500
REFERENCE_MAX: Final = 255
GATEWAY_MAX: Final = 60
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
NOT_PHONE: Final = re.compile(r"[^0-9+() -]")


def parse_intent(fields: Mapping[str, Any], *, lenient: bool = False) -> Order:
    """Read the body of POST /payment-intents; *lenient*, where amount and currency are enough. Raises Invalid."""
    read, required = Fields(fields), not lenient
    gateway = read.text("gateway", required=required, most=GATEWAY_MAX)
    in_currency = read.currency()
    amount = read.amount(in_currency)
    order_id = read.text("order_id", "reference", required=required, most=REFERENCE_MAX)
    name = read.text("customer_name", "customer.name", required=required, cut=NAME_MAX)
    email = _email(read, required=required)
    order = Order(
        amount=amount or Money(0, in_currency or currency("USD")),
        order_id=order_id,
        description=read.text("description", cut=DESCRIPTION_MAX),
        contact=Contact(name or "", email or "", _phone(read)),
        redirect_url=read.url("return_url", "redirect_url", code="INVALID_REDIRECT_URL", required=required),
        cancel_url=read.url("cancel_url", code="INVALID_CANCEL_URL"),
        callback_url=read.url("callback_url", "webhook_url", code="INVALID_CALLBACK_URL"),
        gateway=gateway,
        gateway_fixed=gateway is not None,
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
    read = Fields(fields)
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


def parse_changes(fields: Mapping[str, Any]) -> Changes:
    """Read the body of a PATCH of a payment. Raises Invalid with every fault."""
    read = Fields(fields)
    changes = Changes(
        description=read.text("description", cut=DESCRIPTION_MAX),
        metadata=read.metadata() if read.raw("metadata")[1] is not None else None,
        redirect_url=read.url("redirect_url", "return_url", code="INVALID_REDIRECT_URL"),
        cancel_url=read.url("cancel_url", code="INVALID_CANCEL_URL"),
        callback_url=read.url("callback_url", "webhook_url", code="INVALID_CALLBACK_URL"),
    )
    if read.faults:
        raise Invalid(read.faults)
    return changes


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
        "method": payment.method,
        "reference": payment.order_id,
        "order_id": payment.order_id,
        "description": payment.description,
        **_refunds(payment),
        "charge": _charge(payment),
        "late": payment.late,
        "checkout_url": address,
        "payment_url": address,
        "redirect_url": payment.redirect_url,
        "cancel_url": payment.cancel_url,
        "callback_url": payment.callback_url,
        **_origin(payment, now),
        "metadata": written(payment.metadata),
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
        "gateway_type": payment.gateway_type,
        "method": payment.method,
        "reference": payment.order_id,
        "order_id": payment.order_id,
        **_refunds(payment),
        "dispute_status": payment.dispute_status,
        "charge": _charge(payment),
        "customer": _customer(payment),
        "metadata": written(payment.metadata),
        **_times(payment),
    }


def checkout_url(payment: Payment, base_url: str) -> str:
    return f"{base_url}/checkout/{payment.token}"


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
    return {"amount_refunded": render(payment.refunded), "refund_status": part, "disputed": payment.disputed}


def _charge(payment: Payment) -> dict[str, Any] | None:
    """Return what the gateway charges, where that is another currency."""
    charge = payment.charge
    if charge is None:
        return None
    return {
        "amount": render(charge.amount),
        "currency": charge.amount.currency.code,
        "rate": charge.rate,
        "rate_at": iso_seconds(charge.rate_at),
    }


def _times(payment: Payment) -> dict[str, Any]:
    return {
        "created_at": iso_seconds(payment.created_at),
        "updated_at": iso_seconds(payment.updated_at),
        "completed_at": _instant(payment.completed_at),
    }


def _origin(payment: Payment, now: Instant) -> dict[str, Any]:
    link, invoice = payment.link, payment.invoice
    return {
        "payment_link": {"uuid": link.uuid, "slug": link.slug, "title": link.title} if link else None,
        "invoice": invoice_name(invoice, now) if invoice else None,
    }


def invoice_name(invoice: InvoiceName, now: Instant) -> dict[str, str]:
    """Return how other objects name an invoice."""
    return {
        "uuid": invoice.uuid,
        "number": invoice.number,
        "total": render(invoice.total),
        "status": invoice.status(now).value,
    }


def _instant(instant: Instant | None) -> str | None:
    return iso_seconds(instant) if instant is not None else None


def _customer(payment: Payment) -> dict[str, str | None]:
    who = payment.contact
    return {"name": who.name or None, "email": who.email or None, "phone": who.phone or None}


def _email(read: Fields, *, required: bool = False) -> str | None:
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


def _phone(read: Fields) -> str:
    text = read.text("customer_phone", "customer.phone")
    return NOT_PHONE.sub("", text)[:PHONE_MAX].strip() if text else ""
