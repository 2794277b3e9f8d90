"""What events say of a charge and of a receipt (docs/events.md)."""

from typing import Any

from opentill.kernel.money import Money
from opentill.payments.model import Receipt
from opentill.pix.model import Charge, State


def charge_part(charge: Charge) -> dict[str, Any]:
    """Return what an event says of a charge (docs/events.md)."""
    return {
        "id": charge.id,
        "external_id": charge.external_id,
        "description": charge.description,
        "amount_units": charge.amount.units,
        "qr_code": charge.code or "",
        "created_at": charge.created_at,
        "expires_at": charge.expires_at,
        "expired_at": charge.updated_at if charge.state is State.EXPIRED else None,
        "cancelled_at": charge.updated_at if charge.state is State.CANCELLED else None,
    }


def receipt_part(
    receipt: Receipt, transaction_id: str, *, fee: Money, origin: str, late: bool = False
) -> dict[str, Any]:
    """Return what an event says of a receipt (docs/events.md)."""
    return {
        "transaction_id": transaction_id,
        "end_to_end_id": receipt.ref,
        "amount_units": receipt.amount.units,
        "fee_units": fee.units,
        "net_units": (receipt.amount - fee).units,
        "payer_name": receipt.payer_name,
        "payer_document": receipt.payer_document,
        "payer_ispb": receipt.payer_ispb,
        "payer_bank_name": receipt.payer_bank_name,
        "paid_at": receipt.received_at,
        "origin": origin,
        "late": late,
    }
