"""What an event says of a payment: the parts of docs/events.md, taken inside the transaction."""

import json
from collections.abc import Mapping
from typing import Any, Final

from opentill.events import Event
from opentill.kernel.clock import Instant
from opentill.payments.model import Payment

TO_CALLBACK: Final = "callback_url"


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
        document={"merchant": merchant_part(payment), "payment": payment_part(payment), **parts},
        merchant_type=kind if kind.startswith("payment.") else None,
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
        "charge": None,
        "gateway": payment.gateway or "",
        "gateway_type": "api" if payment.gateway else "",
        "method": "api",
        "status": payment.status.value,
        "late": payment.late,
        "disputed": False,
        "customer": {"name": who.name, "email": who.email, "phone": who.phone},
        "metadata": json.loads(payment.metadata),
        "paid_at": payment.completed_at,
        "created_at": payment.created_at,
    }


def _routing(payment: Payment) -> dict[str, str]:
    if not payment.callback_url:
        return {}
    return {"callback_url": payment.callback_url, "signature_format": "bare" if payment.callback_bare else "prefixed"}
