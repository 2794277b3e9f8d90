"""What the OpenAPI document says of payments, payment intents and transactions."""

from typing import Any, Final

from opentill.api.merchant.documents import (
    AMOUNT,
    AMOUNT_OR_NULL,
    ASKED_AMOUNT,
    ASKED_METADATA,
    CURRENCY,
    EMPTY_OR_URL,
    EXPIRES_IN,
    FILTERS,
    FLAG,
    KEY_TAKEN,
    MALFORMED,
    METADATA,
    OR_KEY_TAKEN,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    TOKEN,
    TXN,
    URL,
    UUID,
    WORD,
    WRONG,
    good,
    listing,
    ok,
    reads,
    writes,
)
from opentill.web.openapi import body, exactly, fields, ref, some

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
CONVERSION: Final = {
    "oneOf": [
        exactly(amount=AMOUNT, currency=CURRENCY, rate={"type": "string", "pattern": r"^\d+(\.\d+)?$"}, rate_at=TIME),
        {"type": "null"},
    ],
    "description": "What the gateway charges, where that is another currency.",
}
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
    "charge": CONVERSION,
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
    charge=CONVERSION,
    customer=CUSTOMER,
    metadata=METADATA,
    created_at=TIME,
    updated_at=TIME,
    completed_at=TIME_OR_NULL,
)
_INTENT: Final = good(
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
)
_PAYMENT_SHOWN: Final = ok("Payment", "The payment.")
_CHANGES: Final = body(
    some(
        (),
        description=WORD,
        metadata={**ASKED_METADATA, "description": "Replaces what was there. At most 16 KiB as JSON."},
        redirect_url=EMPTY_OR_URL,
        cancel_url=EMPTY_OR_URL,
        callback_url=EMPTY_OR_URL,
    ),
    {"description": "Two lamps", "metadata": {"cart": 17}},
)
_OVER: Final = f"The payment is over or under review, {OR_KEY_TAKEN}"
_BAD_INTENT: Final = {"400": "Fields or the id are wrong.", "404": "No such payment.", "409": _OVER}
_BAD_PAYMENT: Final = {"404": "No such payment.", "409": _OVER, "422": "Fields or the id are wrong."}
_AMEND: Final = "Change a pending payment"
_CANCEL: Final = "End a payment without money, unless its gateway says that it is paid"

CREATE_INTENT: Final = writes(
    "createPaymentIntent",
    "Create a payment for a named gateway",
    good(
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
    asked=body(
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
    error="SeedError",
    bad={"400": MALFORMED, "404": "The gateway is not configured or inactive.", "409": KEY_TAKEN},
)
LIST_INTENTS: Final = listing(
    "listPaymentIntents", "List payments, newest first", "Payment", FILTERS, error="SeedError"
)
SHOW_INTENT: Final = reads(
    "showPaymentIntent",
    "Show a payment",
    _INTENT,
    error="SeedError",
    bad={"400": "The id is malformed.", "404": "No such payment."},
)
AMEND_INTENT: Final = writes("amendPaymentIntent", _AMEND, _INTENT, asked=_CHANGES, error="SeedError", bad=_BAD_INTENT)
CANCEL_INTENT: Final = writes("cancelPaymentIntent", _CANCEL, _INTENT, error="SeedError", bad=_BAD_INTENT)

CREATE_PAYMENT: Final = writes(
    "createPayment",
    "Create a payment",
    ok("CreatedPayment", "The payment was created.", "201"),
    asked=body(
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
    bad={"409": KEY_TAKEN, "422": WRONG},
)
LIST_PAYMENTS: Final = listing("listPayments", "List payments, newest first", "Payment", FILTERS)
SHOW_PAYMENT: Final = reads(
    "showPayment",
    "Show a payment by its UUID or txn_ reference",
    _PAYMENT_SHOWN,
    bad={"404": "No such payment.", "422": "The id is malformed."},
)
AMEND_PAYMENT: Final = writes("amendPayment", _AMEND, _PAYMENT_SHOWN, asked=_CHANGES, bad=_BAD_PAYMENT)
CANCEL_PAYMENT: Final = writes("cancelPayment", _CANCEL, _PAYMENT_SHOWN, bad=_BAD_PAYMENT)

LIST_TRANSACTIONS: Final = listing("listTransactions", "List transactions, newest first", "Transaction", FILTERS)
SHOW_TRANSACTION: Final = reads(
    "showTransaction",
    "Show a transaction by txn_ reference, payment UUID, provider reference or number",
    ok("Transaction", "The transaction."),
    bad={"404": "No such transaction.", "422": "The id is blank."},
)
