"""The example bodies of merchant-api.md by section, with something plain where it omits text."""

from typing import Any, Final

UUID: Final = "0197f3c2-1111-7222-8333-444455556666"
TOKEN: Final = "4be1" * 16
TIME: Final = "2026-07-20T14:30:00Z"
TXN: Final = "txn_5c0e19a7b3d2f486"
URL: Final = f"https://pay.example.com/checkout/{TOKEN}"
REQUEST_ID: Final = "7f0c1f0e9d5b4b3e8a60c3f1d2a49b11"
AMOUNT_ABOVE_ZERO: Final = "amount must be greater than zero"
TOO_MANY: Final = "Too many requests. Try again in 17 seconds."

INTENT: Final[dict[str, Any]] = {
    "gateway": "sandbox", "amount": 99.99, "currency": "USD", "order_id": "ORD-1001", "customer_name": "Jane Smith",
    "customer_email": "jane@example.com", "return_url": "https://shop.example/return",
}  # fmt: skip
CREATED: Final[dict[str, Any]] = {
    "payment_id": UUID, "token": TOKEN, "checkout_url": URL, "payment_url": URL, "status": "pending", "trx_id": TXN,
    "transaction_id": TXN, "amount": "99.99", "currency": "USD", "reference": "ORD-1001", "order_id": "ORD-1001",
    "expires_at": TIME,
}  # fmt: skip
PAYMENT: Final[dict[str, Any]] = {
    "id": 45, "payment_id": UUID, "uuid": UUID, "token": TOKEN, "trx_id": TXN, "transaction_id": TXN,
    "gateway_trx_id": None, "amount": "500.00", "currency": "BDT", "fee": "0.00", "net_amount": None,
    "status": "pending", "gateway": None, "method": "api", "reference": "INV-1", "order_id": "INV-1",
    "description": None, "amount_refunded": "0.00", "refund_status": "none", "disputed": False, "charge": None,
    "late": False, "checkout_url": URL, "payment_url": URL, "redirect_url": None, "cancel_url": None,
    "callback_url": None, "payment_link": None, "invoice": None, "metadata": {}, "created_at": TIME,
    "updated_at": TIME, "expires_at": TIME, "completed_at": None, "paid_at": None,
    "customer": {"name": "Jane Smith", "email": "jane@example.com", "phone": None},
}  # fmt: skip
CONVERTED: Final[dict[str, Any]] = {"amount": "11025.00", "currency": "BDT", "rate": "110.25", "rate_at": TIME}
TRANSACTION: Final[dict[str, Any]] = {
    "id": 45, "trx_id": TXN, "transaction_id": TXN, "payment_id": UUID, "gateway_trx_id": "8N7A6D5",
    "amount": "500.00", "currency": "BDT", "fee": "7.50", "net_amount": "492.50", "status": "completed",
    "payment_status": "completed", "gateway": "bkash", "gateway_type": "api", "method": "api", "reference": "INV-1",
    "order_id": "INV-1", "amount_refunded": "0.00", "refund_status": "none", "disputed": False,
    "dispute_status": None, "charge": None, "customer": {"name": None, "email": None, "phone": None}, "metadata": {},
    "created_at": TIME, "updated_at": TIME, "completed_at": TIME,
}  # fmt: skip
REFUND: Final[dict[str, Any]] = {
    "id": 12, "uuid": UUID, "transaction_id": 45, "trx_id": TXN, "payment_id": UUID, "gateway_trx_id": "8N7A6D5",
    "amount": "150.00", "currency": "BDT", "charge": None, "reason": "", "status": "completed",
    "gateway_refund_id": "R-991", "failure_code": None, "failure_message": None, "processed_at": TIME,
    "created_at": TIME,
}  # fmt: skip
CUSTOMER: Final[dict[str, Any]] = {
    "id": 7, "uuid": UUID, "name": "Jane", "email": "jane@example.com", "phone": "+8801712345678",
    "email_masked": "j***@example.com", "phone_masked": "+8801*****678", "created_at": TIME,
}  # fmt: skip
GATEWAY: Final[dict[str, Any]] = {
    "slug": "stripe", "name": "Cards", "type": "api", "currencies": ["USD", "EUR"], "min_amount": None,
    "max_amount": None, "capabilities": ["refund", "partial_refund"], "sandbox": False,
}  # fmt: skip
NEW_KEY: Final[dict[str, Any]] = {
    "key": "op_1a2b3c4d.0123456789abcdef0123456789abcdef0123456789abcdef", "prefix": "1a2b3c4d",
    "warning": "Store this key now; it will not be shown again.", "id": 9, "name": "Shop",
    "scopes": ["read", "write"], "expires_at": None,
}  # fmt: skip
DELIVERY: Final[dict[str, Any]] = {
    "id": 1024, "delivery_id": "dlv_00112233445566778899aabb", "event_id": "evt_00112233445566778899aabb",
    "event": "payment.completed", "endpoint_id": 3, "url": "https://shop.example/hook", "direction": "outbound",
    "status": "delivered", "state": "delivered", "status_code": 200, "response_status": 200, "response_time_ms": 84,
    "attempt": 1, "attempts": 1, "next_attempt_at": None, "transaction_id": 45, "trx_id": TXN,
    "payload": '{"event":"payment.completed"}', "response_body": "OK", "created_at": TIME,
}  # fmt: skip
HEALTH: Final[dict[str, Any]] = {
    "status": "healthy", "version": "0.1.0", "db": "connected", "mobile": {"connected": False, "active_devices": 0},
    "gateways": 3, "customers": 120, "workers": {"outbox_lag_seconds": 0}, "time": TIME,
}  # fmt: skip
_BODY: Final[dict[str, Any]] = {
    "transaction_id": TXN, "payment_id": UUID, "order_id": "ORD-1", "reference": "ORD-1",
    "gateway_trx_id": "8N7A6D5", "amount": "99.99", "currency": "USD", "fee": "2.90", "net_amount": "97.09",
    "amount_refunded": "0.00", "charge": None, "gateway": "stripe", "gateway_type": "api", "method": "api",
    "status": "completed", "late": False, "disputed": False,
    "customer": {"name": "Jane Smith", "email": "jane@example.com", "phone": ""}, "metadata": {}, "refund": None,
    "dispute": None, "invoice": None, "payment_link": None, "paid_at": "2026-07-20T14:22:45Z",
    "created_at": "2026-07-20T14:00:00Z",
}  # fmt: skip
WEBHOOK: Final[dict[str, Any]] = {
    "event": "payment.completed", "id": "evt_00112233445566778899aabb", "api_version": "1.0", **_BODY,
    "timestamp": "2026-07-20T14:22:45Z", "data": {"id": UUID, **_BODY},
}  # fmt: skip

# Section → method, path, status and the whole body of an answer.
ANSWERS: Final[dict[str, tuple[str, str, int, dict[str, Any]]]] = {
    "3.2 client, default caller": ("POST", "/payments", 422, {
        "success": False, "error": True, "message": AMOUNT_ABOVE_ZERO, "code": "VALIDATION_ERROR",
        "errors": [{"code": "INVALID_AMOUNT", "message": AMOUNT_ABOVE_ZERO, "field": "amount"}],
        "field_errors": {"amount": [AMOUNT_ABOVE_ZERO]}, "request_id": REQUEST_ID,
    }),
    "3.2 client, official SDK": ("POST", "/payments", 422, {
        "success": False, "error": AMOUNT_ABOVE_ZERO, "message": AMOUNT_ABOVE_ZERO, "code": "VALIDATION_ERROR",
        "errors": [{"code": "INVALID_AMOUNT", "message": AMOUNT_ABOVE_ZERO, "field": "amount"}],
        "field_errors": {"amount": [AMOUNT_ABOVE_ZERO]}, "request_id": REQUEST_ID,
    }),
    "3.2 seed, validation": ("POST", "/payment-intents", 400, {
        "success": False, "error": True, "message": "Validation failed.", "code": "VALIDATION_ERROR",
        "errors": {"amount": ["The amount field is required."], "currency": ["Invalid currency code."]},
        "request_id": REQUEST_ID,
    }),
    "3.2 seed, anything else": ("POST", "/payment-intents", 404, {
        "success": False, "error": True, "message": "Gateway 'x' is not configured or inactive.",
        "code": "GATEWAY_NOT_FOUND", "request_id": REQUEST_ID,
    }),
    "4 too many": ("GET", "/transactions", 429, {
        "success": False, "error": True, "message": TOO_MANY, "code": "RATE_LIMIT_EXCEEDED",
        "errors": [{"code": "RATE_LIMIT_EXCEEDED", "message": TOO_MANY, "field": None}], "retry_after": 17,
        "request_id": REQUEST_ID,
    }),
    "9.2 created": ("POST", "/payment-intents", 201, {
        "success": True, "message": "Payment created.", "transaction_id": TXN, "payment_url": URL,
        "status": "pending", "expires_at": TIME, "data": CREATED,
    }),
    "9.3 created": ("POST", "/payments", 201, {"success": True, "data": CREATED}),
    "9.4 payment": ("GET", f"/payments/{UUID}", 200, {"success": True, "data": PAYMENT}),
    "6.2 converted": ("GET", f"/payments/{UUID}", 200, {"success": True, "data": {**PAYMENT, "charge": CONVERTED}}),
    "9.5 transaction": ("GET", f"/transactions/{TXN}", 200, {"success": True, "data": TRANSACTION}),
    "8 list": ("GET", "/transactions", 200, {
        "success": True, "data": [TRANSACTION],
        "meta": {"page": 1, "per_page": 25, "total": 40, "total_pages": 2, "next_cursor": "MTAyNA"},
    }),
    "9.6 refund": ("POST", "/refunds", 201, {"success": True, "data": REFUND}),
    "9.7 customer": ("POST", "/customers", 201, {"success": True, "data": CUSTOMER}),
    "9.11 gateways": ("GET", "/gateways", 200, {"success": True, "data": [GATEWAY]}),
    "9.12 made": ("POST", "/api-keys", 201, {"success": True, "data": NEW_KEY}),
    "9.12 revoked": ("DELETE", "/api-keys/9", 200, {"success": True, "data": {"message": "API key revoked."}}),
    "9.13 test": ("POST", "/webhooks/tests", 200, {
        "success": True,
        "data": {"status_code": 200, "response_time_ms": 84, "delivery_id": "dlv_00112233445566778899aabb"},
    }),
    "9.13 delivery": ("GET", "/webhooks/deliveries", 200, {"success": True, "data": [DELIVERY]}),
    "9.14 health": ("GET", "/health", 200, {"success": True, "data": HEALTH}),
}  # fmt: skip
