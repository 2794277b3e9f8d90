"""What an event says of a payment: the parts of docs/events.md, taken inside the transaction."""

import json
from collections.abc import Mapping
from typing import Any, Final

from opentill.events import Event
from opentill.kernel.clock import Instant
from opentill.payments.model import Conversion, InvoiceName, Payment, Refund

# Kinds the merchant dialect has under the same name.
TO_MERCHANTS: Final = ("payment.", "refund.", "dispute.", "payment_link.", "invoice.")


def payment_event(
    kind: str, payment: Payment, *, at: Instant, pix_type: str | None = None, **parts: Mapping[str, Any]
) -> Event:
    """Return the event of a payment; *parts* are the other objects it shows, such as its charge."""
    return Event(
        type=kind,
        owner=payment.owner,
        object_type="payment",
        object_id=payment.uuid,
        at=at,
        document={
            "merchant": merchant_part(payment),
            "payment": payment_part(payment),
            **_origin_parts(payment, at),
            **parts,
        },
        merchant_type=kind if kind.startswith(TO_MERCHANTS) else None,
        pix_type=pix_type,
        routing=_routing(payment),
    )


def merchant_part(payment: Payment) -> dict[str, Any]:
    return {"uuid": payment.merchant_uuid, "account_id": payment.owner.account_id}


def payment_part(payment: Payment) -> dict[str, Any]:
    who = payment.contact
    return {
        "uuid": payment.uuid,
        "reference": payment.reference,
        "order_id": payment.order_id or "",
        "gateway_trx_id": payment.gateway_ref or "",
        "amount_units": payment.amount.units,
        "currency": payment.amount.currency.code,
        "exponent": payment.amount.currency.exponent,
        "fee_units": payment.fee.units,
        "net_units": payment.net.units if payment.net else None,
        "refunded_units": payment.refunded.units,
        "charge": _conversion_part(payment.charge),
        "gateway": payment.gateway or "",
        "gateway_type": payment.gateway_type or "",
        "method": payment.method,
        "status": payment.status.value,
        "late": payment.late,
        "disputed": payment.disputed,
        "customer": {"name": who.name, "email": who.email, "phone": who.phone},
        "metadata": json.loads(payment.metadata),
        "paid_at": payment.completed_at,
        "created_at": payment.created_at,
    }


def invoice_part(invoice: InvoiceName, at: Instant) -> dict[str, Any]:
    return {
        "uuid": invoice.uuid,
        "number": invoice.number,
        "total_units": invoice.total.units,
        "currency": invoice.total.currency.code,
        "exponent": invoice.total.currency.exponent,
        "status": invoice.status(at).value,
    }


def _origin_parts(payment: Payment, at: Instant) -> dict[str, Any]:
    """Return what every event says of the link or invoice a payment was made from."""
    parts: dict[str, Any] = {}
    if payment.link is not None:
        parts["link"] = {"uuid": payment.link.uuid, "slug": payment.link.slug, "title": payment.link.title}
    if payment.invoice is not None:
        parts["invoice"] = invoice_part(payment.invoice, at)
    return parts


def refund_part(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "uuid": refund.uuid,
        "amount_units": refund.amount.units,
        "currency": refund.amount.currency.code,
        "exponent": refund.amount.currency.exponent,
        "reason": refund.reason,
        "status": refund.status.value,
        "gateway_refund_id": refund.gateway_ref,
        "processed_at": refund.processed_at,
    }


def _conversion_part(charge: Conversion | None) -> dict[str, Any] | None:
    if charge is None:
        return None
    return {
        "amount_units": charge.amount.units,
        "currency": charge.amount.currency.code,
        "exponent": charge.amount.currency.exponent,
        "rate": charge.rate,
        "rate_at": charge.rate_at,
    }


def _routing(payment: Payment) -> dict[str, str]:
    if not payment.callback_url:
        return {}
    return {"callback_url": payment.callback_url, "signature_format": "bare" if payment.callback_bare else "prefixed"}
