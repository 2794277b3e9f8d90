"""Events of every kind with complete documents (docs/events.md), as plain data for tests."""

import re
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from opentill.events import Audience
from opentill.kernel.clock import Instant, from_datetime
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks.model import RecordedEvent, SignatureFormat


def instant(text: str) -> Instant:
    """Read `2026-03-07T15:30:00.123456Z`."""
    from datetime import datetime

    return from_datetime(datetime.fromisoformat(text))


UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EVENT_ID = "evt_00112233445566778899aabb"
MERCHANT = {"uuid": "0b6f6d0e-3c55-4f0e-9a57-8f5a1f4c2d11", "account_id": 10011}


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "uuid": "0197f3c2-0000-7000-8000-000000000001",
        "reference": "txn_5c0e19a7b3d2f486",
        "order_id": "ORD-1",
        "gateway_trx_id": "8N7A6D5",
        "amount_units": 999_900,
        "currency": "USD",
        "exponent": 2,
        "fee_units": 29_000,
        "net_units": 970_900,
        "refunded_units": 0,
        "charge": None,
        "gateway": "stripe",
        "gateway_type": "api",
        "method": "api",
        "status": "completed",
        "late": False,
        "disputed": False,
        "customer": {"name": "Jane Smith", "email": "jane@example.com", "phone": ""},
        "metadata": {},
        "paid_at": instant("2026-07-20T14:22:45Z"),
        "created_at": instant("2026-07-20T14:00:00Z"),
        **changes,
    }


def payment_at(event: str, name: str) -> dict[str, Any]:
    """Return the payment of an event of its own, `payment.failed`; *name* is its id or stands for one."""
    number = name if UUID.fullmatch(name) else str(uuid5(NAMESPACE_URL, name))
    status = event.removeprefix("payment.")
    if not event.startswith("payment.") or status == "completed":
        return payment(uuid=number)
    return payment(uuid=number, status=status, fee_units=0, net_units=None, paid_at=None)


def charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "k3v9q0x7m2b5n8c1z4l6j0h2g",
        "external_id": "order-9876",
        "description": "Pedido 1001",
        "amount_units": 300_000,
        "qr_code": "000201…63041E9D",
        "created_at": instant("2026-03-07T15:29:00Z"),
        "expires_at": instant("2026-03-08T15:29:00Z"),
        "expired_at": None,
        "cancelled_at": None,
        **changes,
    }


def receipt(**changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": "k3v9q0x7m2b5n8c1z4l6j0h2g",
        "end_to_end_id": "E99999002202603071530abcdef12345",
        "amount_units": 300_000,
        "fee_units": 250,
        "net_units": 299_750,
        "payer_name": "João Teste",
        "payer_document": "12345678909",
        "payer_ispb": "99999002",
        "payer_bank_name": "Banco Pagador de Teste",
        "paid_at": instant("2026-03-07T15:30:00.123456Z"),
        "origin": "charge",
        "late": False,
        **changes,
    }


def payout(**changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": "PIXOUT20260307a1b2c3d4e5f6",
        "external_id": "pay-17",
        "end_to_end_id": "E99999001202603071530abcdef12345",
        "amount_units": 300_000,
        "fee_units": 350,
        "net_units": 300_350,
        "recipient_key": "fulano@example.com",
        "counterparty_name": None,
        "description": "Comissão",
        "created_at": instant("2026-03-07T15:30:00Z"),
        "completed_at": None,
        **changes,
    }


def returned() -> dict[str, Any]:
    return {
        "transaction_id": "PIXOUT20260307a1b2c3d4e5f6",
        "external_id": "pay-17",
        "end_to_end_id": "E99999001202603071530abcdef12345",
        "return_id": "D99999002202603081015zyxwvu98765",
        "amount_units": 300_000,
        "reason": "MD06",
        "returned_at": instant("2026-03-08T10:15:04Z"),
        "total_returned_units": 300_000,
    }


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "uuid": "0197f3c2-0000-7000-8000-000000000007",
        "amount_units": 100_000,
        "currency": "BRL",
        "exponent": 2,
        "reason": "MD06",
        "status": "pending",
        "gateway_refund_id": None,
        "processed_at": None,
        "refund_id": "PIXRET20260307a1b2c3d4e5f6",
        "transaction_id": "k3v9q0x7m2b5n8c1z4l6j0h2g",
        "end_to_end_id": "E99999002202603071530abcdef12345",
        "external_id": "order-9876",
        "origin": "merchant",
        "requested_at": instant("2026-03-07T16:00:00Z"),
        **changes,
    }


def med(**changes: Any) -> dict[str, Any]:
    return {
        "med_id": "MED20260310001",
        "transaction_id": "k3v9q0x7m2b5n8c1z4l6j0h2g",
        "end_to_end_id": "E99999002202603071530abcdef12345",
        "external_id": "order-9876",
        "amount_units": 300_000,
        "reason": "FRAUD",
        "requested_at": instant("2026-03-10T09:00:00Z"),
        "defense_deadline": instant("2026-03-13T09:00:00Z"),
        **changes,
    }


def infraction(**changes: Any) -> dict[str, Any]:
    return {
        "med_id": "MED20260310001",
        "status": "ACKNOWLEDGED",
        "infraction_type": "REFUND_REQUEST",
        "amount_units": 300_000,
        "e2e_id": "E99999002202603071530abcdef12345",
        "transaction_id": "k3v9q0x7m2b5n8c1z4l6j0h2g",
        "defense_deadline": instant("2026-03-13T09:00:00Z"),
        "counterpart_ispb": "99999002",
        "created_at": instant("2026-03-10T09:00:00Z"),
        **changes,
    }


def dispute(**changes: Any) -> dict[str, Any]:
    return {
        "id": 3,
        "uuid": "0197f3c2-0000-7000-8000-000000000003",
        "amount_units": 999_900,
        "currency": "USD",
        "exponent": 2,
        "reason": "not as described",
        "status": "open",
        **changes,
    }


def invoice(**changes: Any) -> dict[str, Any]:
    return {
        "uuid": "0197f3c2-0000-7000-8000-000000000004",
        "number": "INV-2026-0001",
        "total_units": 999_900,
        "currency": "USD",
        "exponent": 2,
        "status": "paid",
        **changes,
    }


LINK = {"uuid": "0197f3c2-0000-7000-8000-000000000005", "slug": "abc", "title": "Camiseta / Größe M"}
CUSTOMER = {
    "id": 9,
    "uuid": "0197f3c2-0000-7000-8000-000000000009",
    "name": "Zoë Rahmán",
    "email": "zoe@example.com",
    "phone": "",
    "metadata": {"vip": True},
    "created_at": instant("2026-07-20T14:00:00Z"),
}
TEST = {
    "webhook_id": "wh_a1b2c3d4e5f6",
    "message": "Test event from OpenTill",
    "created_at": instant("2026-03-07T15:30:00Z"),
}


def event(
    type_: str,
    *,
    merchant: str | None = None,
    pix: str | None = None,
    audience: Audience = Audience.BUSINESS,
    at: Instant | None = None,
    callback_url: str | None = None,
    callback_format: SignatureFormat = SignatureFormat.PREFIXED,
    **parts: Any,
) -> RecordedEvent:
    """Return an event with a document of the given parts."""
    return RecordedEvent(
        seq=1,
        id=EVENT_ID,
        owner=Owner(1, Mode.SANDBOX),
        audience=audience,
        type=type_,
        merchant_type=merchant,
        pix_type=pix,
        object_type="payment",
        object_id="0197f3c2-0000-7000-8000-000000000001",
        occurred_at=at if at is not None else instant("2026-07-20T14:22:45.678901Z"),
        document={"merchant": MERCHANT, **parts},
        callback_url=callback_url,
        callback_format=callback_format,
    )
