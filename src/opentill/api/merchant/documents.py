"""What the OpenAPI document says of the merchant API's operations and objects."""

from typing import Any, Final

from opentill.web.openapi import answer, body, exactly, fields, ref, some

TEXT: Final = {"type": "string"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
FLAG: Final = {"type": "boolean"}
COUNT: Final = {"type": "integer", "minimum": 0}
TIME: Final = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", "examples": ["2026-07-20T14:30:00Z"]}
TIME_OR_NULL: Final = {"oneOf": [TIME, {"type": "null"}]}
AMOUNT: Final = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["99.90"]}
AMOUNT_OR_NULL: Final = {"oneOf": [AMOUNT, {"type": "null"}]}
CURRENCY: Final = {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["BRL"]}
UUID: Final = {"type": "string", "format": "uuid"}
TXN: Final = {"type": "string", "pattern": "^txn_[0-9a-f]{16}$"}
TOKEN: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
URL: Final = {"type": "string", "format": "uri", "maxLength": 2048}
METADATA: Final = {"type": "object", "additionalProperties": True}
STATUS: Final = {
    "type": "string",
    "enum": ["pending", "processing", "completed", "failed", "cancelled", "expired"],
}
DETAIL: Final = {
    "type": "string",
    "enum": [
        "pending",
        "processing",
        "awaiting_verification",
        "pending_review",
        "completed",
        "failed",
        "cancelled",
        "expired",
        "refunded",
    ],
}
REFUND_STATUS: Final = {"type": "string", "enum": ["none", "partial", "full"]}
SUCCESS: Final = {"const": True}

# What a request may hold. Amounts are decimals in major units, as number or text.
ASKED_AMOUNT: Final = {
    "oneOf": [
        {"type": "string", "pattern": r"^\s*[0-9]{1,12}(\.[0-9]+)?\s*$"},
        {"type": "number", "exclusiveMinimum": 0},
    ],
    "description": "A decimal in major units: 100 means 100.00. No sign, exponent or separators.",
}
WORD: Final = {"type": ["string", "number", "boolean", "null"]}
ASKED_METADATA: Final = {
    "oneOf": [METADATA, {"type": "array", "maxItems": 0}, {"type": "null"}],
    "description": "At most 16 KiB as JSON.",
}
EXPIRES_IN: Final = {
    "type": ["integer", "string", "null"],
    "minimum": 60,
    "maximum": 2592000,
    "description": "Seconds until the payment expires.",
}
EMPTY_OR_URL: Final = {"oneOf": [URL, {"const": ""}, {"type": "null"}]}

CREATED: Final = exactly(
    payment_id=UUID,
    token=TOKEN,
    checkout_url=URL,
    payment_url=URL,
    status={"const": "pending"},
    trx_id=TXN,
    transaction_id=TXN,
    amount=AMOUNT,
    currency=CURRENCY,
    reference=TEXT_OR_NULL,
    order_id=TEXT_OR_NULL,
    expires_at=TIME,
)
CUSTOMER: Final = exactly(name=TEXT_OR_NULL, email=TEXT_OR_NULL, phone=TEXT_OR_NULL)
_PAYMENT: Final[dict[str, Any]] = {
    "id": {"type": "integer"},
    "payment_id": UUID,
    "uuid": UUID,
    "token": TOKEN,
    "trx_id": TXN,
    "transaction_id": TXN,
    "gateway_trx_id": TEXT_OR_NULL,
    "amount": AMOUNT,
    "currency": CURRENCY,
    "fee": AMOUNT,
    "net_amount": AMOUNT_OR_NULL,
    "status": STATUS,
    "gateway": TEXT_OR_NULL,
    "method": {"type": "string", "enum": ["api", "manual", "sms", "link", "invoice"]},
    "reference": TEXT_OR_NULL,
    "order_id": TEXT_OR_NULL,
    "description": TEXT_OR_NULL,
    "amount_refunded": AMOUNT,
    "refund_status": REFUND_STATUS,
    "disputed": FLAG,
    "charge": {"type": ["object", "null"]},
    "late": FLAG,
    "checkout_url": URL,
    "payment_url": URL,
    "redirect_url": TEXT_OR_NULL,
    "cancel_url": TEXT_OR_NULL,
    "callback_url": TEXT_OR_NULL,
    "payment_link": {"type": ["object", "null"]},
    "invoice": {"type": ["object", "null"]},
    "metadata": METADATA,
    "created_at": TIME,
    "updated_at": TIME,
    "expires_at": TIME,
    "completed_at": TIME_OR_NULL,
    "paid_at": TIME_OR_NULL,
}
PAYMENT: Final = fields(_PAYMENT, **_PAYMENT, customer=CUSTOMER)
TRANSACTION: Final = exactly(
    id={"type": "integer"},
    trx_id=TXN,
    transaction_id=TXN,
    payment_id=UUID,
    gateway_trx_id=TEXT_OR_NULL,
    amount=AMOUNT,
    currency=CURRENCY,
    fee=AMOUNT,
    net_amount=AMOUNT_OR_NULL,
    status=DETAIL,
    payment_status=STATUS,
    gateway=TEXT_OR_NULL,
    gateway_type={"enum": ["api", "manual", None]},
    method={"type": "string", "enum": ["api", "manual", "sms", "link", "invoice"]},
    reference=TEXT_OR_NULL,
    order_id=TEXT_OR_NULL,
    amount_refunded=AMOUNT,
    refund_status=REFUND_STATUS,
    disputed=FLAG,
    dispute_status=TEXT_OR_NULL,
    charge={"type": ["object", "null"]},
    customer=CUSTOMER,
    metadata=METADATA,
    created_at=TIME,
    updated_at=TIME,
    completed_at=TIME_OR_NULL,
)
META: Final = exactly(page=COUNT, per_page=COUNT, total=COUNT, total_pages=COUNT, next_cursor=TEXT_OR_NULL)

# Errors: the client family's shape and the seed family's (merchant-api.md §3.2).
CODE: Final = {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$"}
ENTRY: Final = exactly(code=CODE, message=TEXT, field=TEXT_OR_NULL)
BY_FIELD: Final = {"type": "object", "additionalProperties": {"type": "array", "items": TEXT, "minItems": 1}}
_OPENING: Final[dict[str, Any]] = {"success": {"const": False}, "message": TEXT, "code": CODE, "request_id": TEXT}
ERROR: Final = fields(
    (*_OPENING, "error", "errors"),
    **_OPENING,
    error={"oneOf": [{"const": True}, TEXT], "description": "true, or the message for callers of the official SDKs."},
    errors={"type": "array", "items": ENTRY, "minItems": 1},
    field_errors=BY_FIELD,
    retry_after={"type": "integer", "minimum": 1},
    data={"type": "object"},
)
SEED_ERROR: Final = fields(
    (*_OPENING, "error"),
    **_OPENING,
    error={"const": True},
    errors=BY_FIELD,
    retry_after={"type": "integer", "minimum": 1},
)

COMPONENTS: Final[dict[str, Any]] = {
    "schemas": {
        "CreatedPayment": CREATED,
        "Payment": PAYMENT,
        "Transaction": TRANSACTION,
        "Meta": META,
        "Error": ERROR,
        "SeedError": SEED_ERROR,
    },
    "headers": {
        "RateLimitLimit": {"description": "Requests allowed per minute.", "schema": COUNT},
        "RateLimitRemaining": {"description": "Requests left in this minute.", "schema": COUNT},
        "RateLimitReset": {"description": "Unix time at which the minute ends.", "schema": COUNT},
        "RequestId": {"description": "The request's X-Request-ID, or a new one.", "schema": TEXT},
    },
    "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "op_<8 hex>.<48 hex>"}},
}
HEADERS: Final = {
    "X-RateLimit-Limit": ref("headers", "RateLimitLimit"),
    "X-RateLimit-Remaining": ref("headers", "RateLimitRemaining"),
    "X-RateLimit-Reset": ref("headers", "RateLimitReset"),
    "X-Request-ID": ref("headers", "RequestId"),
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters. The same request under the same key happens once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _answers(good: dict[str, Any], *, error: str, bad: dict[str, str]) -> dict[str, Any]:
    """Return the responses of an operation: the good ones, its own bad ones, and those of every operation."""
    everywhere = {
        "400": "The body is not JSON, or the Idempotency-Key is malformed.",
        "401": "The API key is missing or not valid.",
        "403": "The key lacks the scope, its address is not allowed, or the merchant is not active.",
        "413": "The body has more than 1 MiB.",
        "429": "Too many requests in this minute.",
        "500": "A fault on our side; quote the request id.",
        "503": "The service cannot do this now; `retry_after` says when to try again.",
    }
    described = {**everywhere, **bad}
    schema = ref("schemas", error)
    return {**good, **{status: answer(described[status], schema, HEADERS) for status in sorted(described)}}


def _good(status: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {status: answer(description, schema, HEADERS)}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


CREATE_INTENT: Final = {
    "operationId": "createPaymentIntent",
    "summary": "Create a payment for a named gateway",
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": body(
        some(
            ("gateway", "amount", "currency"),
            gateway={"type": "string", "minLength": 1, "maxLength": 60},
            amount=ASKED_AMOUNT,
            currency=TEXT,
            order_id={**WORD, "description": "Required. Your own reference; alias: reference."},
            customer_name={**WORD, "description": "Required. Alias: customer.name."},
            customer_email={**WORD, "description": "Required. Aliases: customer_mail, customer.email."},
            customer_phone=WORD,
            description=WORD,
            return_url={**URL, "description": "Required. Alias: redirect_url."},
            cancel_url=EMPTY_OR_URL,
            callback_url=EMPTY_OR_URL,
            metadata=ASKED_METADATA,
            expires_in=EXPIRES_IN,
        ),
        {
            "gateway": "sandbox",
            "amount": 99.99,
            "currency": "USD",
            "order_id": "ORD-1001",
            "customer_name": "Jane Smith",
            "customer_email": "jane@example.com",
            "return_url": "https://shop.example/return",
        },
    ),
    "responses": _answers(
        _good(
            "201",
            "The payment was created.",
            exactly(
                success=SUCCESS,
                message=TEXT,
                transaction_id=TXN,
                payment_url=URL,
                status={"const": "pending"},
                expires_at=TIME,
                data=ref("schemas", "CreatedPayment"),
            ),
        ),
        error="SeedError",
        bad={
            "400": "The body is not JSON, fields are wrong (`errors` names each), or the Idempotency-Key is malformed.",
            "404": "The gateway is not configured or inactive.",
            "409": "The Idempotency-Key is in use, or was used with a different request.",
        },
    ),
}
SHOW_INTENT: Final = {
    "operationId": "showPaymentIntent",
    "summary": "Show a payment",
    "responses": _answers(
        _good(
            "200",
            "The payment.",
            exactly(
                success=SUCCESS,
                transaction_id=TXN,
                payment_url=URL,
                status=STATUS,
                expires_at=TIME,
                data=ref("schemas", "Payment"),
            ),
        ),
        error="SeedError",
        bad={"400": "The id is malformed.", "404": "No such payment."},
    ),
}
CREATE_PAYMENT: Final = {
    "operationId": "createPayment",
    "summary": "Create a payment",
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": body(
        some(
            ("amount", "currency"),
            amount=ASKED_AMOUNT,
            currency=TEXT,
            callback_url=EMPTY_OR_URL,
            redirect_url=EMPTY_OR_URL,
            cancel_url=EMPTY_OR_URL,
            customer_mail=WORD,
            customer_name=WORD,
            customer_phone=WORD,
            reference=WORD,
            description=WORD,
            gateway=WORD,
            metadata=ASKED_METADATA,
            expires_in=EXPIRES_IN,
        ),
        {"amount": "99.90", "currency": "BRL", "reference": "ORD-1001", "redirect_url": "https://shop.example/return"},
    ),
    "responses": _answers(
        _good("201", "The payment was created.", exactly(success=SUCCESS, data=ref("schemas", "CreatedPayment"))),
        error="Error",
        bad={
            "409": "The Idempotency-Key is in use, or was used with a different request.",
            "422": "Fields are wrong; `errors` has an entry for each fault.",
        },
    ),
}
SHOW_PAYMENT: Final = {
    "operationId": "showPayment",
    "summary": "Show a payment by its UUID or txn_ reference",
    "responses": _answers(
        _good("200", "The payment.", exactly(success=SUCCESS, data=ref("schemas", "Payment"))),
        error="Error",
        bad={"404": "No such payment.", "422": "The id is malformed."},
    ),
}
LIST_TRANSACTIONS: Final = {
    "operationId": "listTransactions",
    "summary": "List transactions, newest first",
    "parameters": [
        _query("page", TEXT, "From 1. What is not a number counts as 1."),
        _query("per_page", TEXT, "1 to 100, default 25. Clamped, never refused."),
        _query("cursor", TEXT, "`meta.next_cursor` of an earlier answer, instead of a page."),
        _query("status", TEXT, "One status or several, joined by commas."),
        _query("gateway", TEXT, "The gateway's slug."),
        _query("from", TEXT, "A date, or a time with offset. Inclusive."),
        _query("to", TEXT, "A date, or a time with offset. Inclusive."),
        _query("reference", TEXT, "Your own reference, exact. Alias: order_id."),
        _query("payment_id", TEXT, "A payment's UUID."),
    ],
    "responses": _answers(
        _good(
            "200",
            "A page of transactions.",
            exactly(
                success=SUCCESS,
                data={"type": "array", "items": ref("schemas", "Transaction")},
                meta=ref("schemas", "Meta"),
            ),
        ),
        error="Error",
        bad={"422": "A date or the cursor is unreadable."},
    ),
}
SHOW_TRANSACTION: Final = {
    "operationId": "showTransaction",
    "summary": "Show a transaction by txn_ reference, payment UUID, provider reference or number",
    "responses": _answers(
        _good("200", "The transaction.", exactly(success=SUCCESS, data=ref("schemas", "Transaction"))),
        error="Error",
        bad={"404": "No such transaction.", "422": "The id is blank."},
    ),
}
HEALTH: Final = {
    "operationId": "health",
    "summary": "Say whether everything runs on time",
    "responses": _answers(
        _good(
            "200",
            "The install's health.",
            exactly(
                success=SUCCESS,
                data=exactly(
                    status={"enum": ["healthy", "degraded"]},
                    version=TEXT,
                    db={"const": "connected"},
                    mobile=exactly(connected=FLAG, active_devices=COUNT),
                    gateways=COUNT,
                    customers=COUNT,
                    workers=exactly(outbox_lag_seconds=COUNT),
                    time=TIME,
                ),
            ),
        ),
        error="Error",
        bad={},
    ),
}
