"""What the OpenAPI document says of invoices."""

from typing import Any, Final

from opentill.api.merchant.documents import (
    AMOUNT,
    ASKED_AMOUNT,
    ASKED_METADATA,
    CURRENCY,
    EMPTY_OR_URL,
    METADATA,
    OR_KEY_TAKEN,
    SPAN,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    URL,
    UUID,
    WORD,
    WRONG,
    listing,
    ok,
    query,
    reads,
    writes,
)
from opentill.web.openapi import body, exactly, some

BILLED: Final = exactly(uuid=UUID, name=TEXT_OR_NULL, email=TEXT_OR_NULL, phone=TEXT_OR_NULL)
INVOICE: Final = exactly(
    id={"type": "integer"},
    uuid=UUID,
    number=TEXT,
    url=URL,
    subtotal=AMOUNT,
    tax=AMOUNT,
    discount=AMOUNT,
    total=AMOUNT,
    amount_paid=AMOUNT,
    currency=CURRENCY,
    items={
        "type": "array",
        "items": exactly(description=TEXT, quantity=AMOUNT, unit_price=AMOUNT, total=AMOUNT),
    },
    notes=TEXT_OR_NULL,
    due_date={"type": ["string", "null"], "format": "date"},
    status={"enum": ["draft", "sent", "overdue", "paid", "cancelled"]},
    customer={"oneOf": [BILLED, {"type": "null"}], "description": "Null once the customer was erased."},
    redirect_url=TEXT_OR_NULL,
    callback_url=TEXT_OR_NULL,
    metadata=METADATA,
    paid_at=TIME_OR_NULL,
    payment_id={"oneOf": [UUID, {"type": "null"}], "description": "The payment that paid it."},
    created_at=TIME,
    updated_at=TIME,
)
_SOME_AMOUNT: Final = {"oneOf": [ASKED_AMOUNT, {"type": ["number", "null"]}]}
_ASKED: Final[dict[str, Any]] = {
    "customer": {"type": ["object", "null"], "description": "name, email, phone; or send a customer_id."},
    "customer_id": {"type": ["string", "null"], "description": "A customer's UUID."},
    "tax": _SOME_AMOUNT,
    "discount": _SOME_AMOUNT,
    "due_date": {"type": ["string", "null"], "description": "A day such as 2026-07-20, where the merchant is."},
    "notes": WORD,
    "number": {**WORD, "description": "At most 30 characters, unique. The next one if absent."},
    "redirect_url": EMPTY_OR_URL,
    "callback_url": EMPTY_OR_URL,
    "metadata": ASKED_METADATA,
}
_ITEMS: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": 200,
    "items": some(
        ("description", "quantity", "unit_price"),
        description={**WORD, "description": "At most 300 characters."},
        quantity={"type": ["string", "number"], "description": "Above zero, at most 2 decimals."},
        unit_price=_SOME_AMOUNT,
    ),
}
_SHOWN: Final = ok("Invoice", "The invoice.")
_CHANGED: Final = {"404": "No such invoice.", "409": "Its state forbids it, or the Idempotency-Key is in use."}

CREATE: Final = writes(
    "createInvoice",
    "Create an invoice as a draft",
    ok("Invoice", "The invoice was created.", "201"),
    asked=body(
        some(("currency", "items"), currency=TEXT, items=_ITEMS, **_ASKED),
        {
            "customer": {"name": "Jane Smith", "email": "jane@example.com"},
            "currency": "BRL",
            "items": [{"description": "Consulting, hours", "quantity": "1.5", "unit_price": "180.00"}],
            "tax": "13.50",
            "due_date": "2026-12-01",
        },
    ),
    bad={"409": f"The number is taken, {OR_KEY_TAKEN}", "422": WRONG},
)
LIST: Final = listing(
    "listInvoices",
    "List invoices, newest first",
    "Invoice",
    [
        query("status", TEXT, "One of draft, sent, overdue, paid, cancelled, or several, joined by commas."),
        query("reference", TEXT, "The invoice's number, exact."),
        query("payment_id", TEXT, "The UUID of a payment made for it."),
        *SPAN,
    ],
    them="invoices",
)
SHOW: Final = reads("showInvoice", "Show an invoice", _SHOWN, bad={"404": "No such invoice."})
CHANGE: Final = writes(
    "changeInvoice",
    "Change a draft, or move the due date of a sent invoice",
    _SHOWN,
    asked=body(some((), currency=TEXT, items=_ITEMS, **_ASKED), {"due_date": "2026-12-15"}, required=False),
    bad={**_CHANGED, "422": WRONG},
)
SEND: Final = writes("sendInvoice", "Let an invoice be paid, and mail its link to the customer", _SHOWN, bad=_CHANGED)
CANCEL: Final = writes("cancelInvoice", "Cancel an invoice nobody is paying", _SHOWN, bad=_CHANGED)
