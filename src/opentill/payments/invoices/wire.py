"""Invoices on the wire of the merchant API (merchant-api.md §9.9)."""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Invalid
from opentill.kernel.money import Currency, Money, currency, render
from opentill.payments.customers.wire import read_contact
from opentill.payments.fields import Fields
from opentill.payments.invoices.model import HUNDREDTHS, ITEMS_MAX, Invoice, Item, Terms
from opentill.payments.model import Contact

ITEM_MAX: Final = 300
NOTES_MAX: Final = 2_000
NUMBER_MAX: Final = 30
DIGITS_MAX: Final = 12  # of a total in major units, as of every amount
QUANTITY: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2})0*)?", re.ASCII)
UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def parse_invoice(fields: Mapping[str, Any], *, callback_bare: bool = False) -> tuple[Terms, Contact | str]:
    """Read the body of POST /invoices: its terms, and who is billed. Raises Invalid with every fault."""
    read = Fields(fields)
    billed = _billed(read)
    if billed is None:
        read.fault("customer", "VALIDATION_FAILED", "The customer field is required, or a customer_id.")
    terms = _terms(read, callback_bare=callback_bare)
    if read.faults or billed is None:
        raise Invalid(read.faults)
    return terms, billed


def parse_change(fields: Mapping[str, Any], invoice: Invoice) -> tuple[Terms, Contact | str | None]:
    """Read the body of PATCH /invoices: what is not sent stays as it is. Raises Invalid with every fault."""
    sent = {name: value for name, value in fields.items() if value is not None}
    read = Fields(_asked(invoice) | sent)
    terms = _terms(read, callback_bare=invoice.terms.callback_bare)
    billed = _billed(read)
    if read.faults:
        raise Invalid(read.faults)
    return terms, billed


def invoice_object(invoice: Invoice, base_url: str, *, now: Instant) -> dict[str, Any]:
    """Return the invoice object."""
    terms = invoice.terms
    return {
        "id": invoice.id,
        "uuid": invoice.uuid,
        "number": invoice.number,
        "url": invoice_url(invoice, base_url),
        "subtotal": render(terms.subtotal),
        "tax": render(terms.tax),
        "discount": render(terms.discount),
        "total": render(terms.total),
        "amount_paid": render(invoice.paid),
        "currency": terms.currency.code,
        "items": [_item_object(item) for item in terms.items],
        "notes": terms.notes,
        "due_date": terms.due_on.isoformat() if terms.due_on else None,
        "status": invoice.status(now).value,
        "customer": _customer(invoice),
        "redirect_url": terms.redirect_url,
        "callback_url": terms.callback_url,
        "metadata": json.loads(terms.metadata),
        "paid_at": iso_seconds(invoice.paid_at) if invoice.paid_at is not None else None,
        "payment_id": invoice.payment_uuid,
        "created_at": iso_seconds(invoice.created_at),
        "updated_at": iso_seconds(invoice.updated_at),
    }


def invoice_url(invoice: Invoice, base_url: str) -> str:
    return f"{base_url}/invoice/{invoice.token}"


def quantity_text(item: Item) -> str:
    """Write a quantity as short as it is exact: `3`, `1.5`, `0.25`."""
    whole, rest = divmod(item.hundredths, HUNDREDTHS)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)


def _terms(read: Fields, *, callback_bare: bool) -> Terms:
    in_currency = read.currency()
    shown_in = in_currency or currency("USD")
    nothing = Money(0, shown_in)
    items = tuple(_item(entry, in_currency) for entry in read.items("items", most=ITEMS_MAX))
    terms = Terms(
        currency=shown_in,
        items=items,
        tax=read.amount(in_currency, "tax", required=False, zero=True) or nothing,
        discount=read.amount(in_currency, "discount", required=False, zero=True) or nothing,
        number=read.text("number", most=NUMBER_MAX),
        notes=read.text("notes", most=NOTES_MAX),
        due_on=_day(read, "due_date"),
        redirect_url=read.url("redirect_url", code="INVALID_REDIRECT_URL"),
        callback_url=read.url("callback_url", code="INVALID_CALLBACK_URL"),
        callback_bare=callback_bare,
        metadata=read.metadata(),
    )
    if not items and not any(fault.field.startswith("items") for fault in read.faults):
        read.fault("items", "VALIDATION_FAILED", f"The items field must have 1 to {ITEMS_MAX} entries.")
    elif not read.faults and not (terms.total.units > 0 and _fits(terms.subtotal) and _fits(terms.total)):
        read.fault("items", "INVALID_AMOUNT", "The total must be greater than zero and have at most twelve digits.")
    return terms


def _fits(amount: Money) -> bool:
    return len(render(amount).partition(".")[0]) <= DIGITS_MAX


def _item(entry: Fields, in_currency: Currency | None) -> Item:
    price = entry.amount(in_currency, "unit_price", zero=True)
    return Item(
        entry.text("description", required=True, most=ITEM_MAX) or "",
        _hundredths(entry),
        price or Money(0, in_currency or currency("USD")),
    )


def _hundredths(entry: Fields) -> int:
    name, value = entry.raw("quantity")
    form = QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    hundredths = int(form[1]) * HUNDREDTHS + int((form[2] or "").ljust(2, "0")) if form else 0
    if hundredths == 0:
        entry.fault(name, "VALIDATION_FAILED", "The quantity must be a number above zero with at most 2 decimals.")
    return hundredths


def _day(read: Fields, name: str) -> date | None:
    text = read.text(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year <= 2999:
        read.fault(name, "VALIDATION_FAILED", f"The {name} field must be a date such as 2026-07-20.")
        return None
    return day


def _billed(read: Fields) -> Contact | str | None:
    """Read who is billed: the UUID of a customer, or what is known of them; None where neither was sent."""
    customer_id = read.text("customer_id")
    if customer_id is not None:
        if UUID.fullmatch(customer_id) is None:
            read.fault("customer_id", "VALIDATION_FAILED", "The customer_id field must be a customer's UUID.")
        return customer_id
    _, customer = read.raw("customer")
    if customer is None:
        return None
    contact = read_contact(read, ("customer.name",), ("customer.email",), ("customer.phone",))
    if not isinstance(customer, Mapping) or not contact.known:
        read.fault("customer", "VALIDATION_FAILED", "The customer field must hold a name, an email or a phone.")
    return contact


def _customer(invoice: Invoice) -> dict[str, Any] | None:
    """Return who is billed; None once erased."""
    who = invoice.contact
    if invoice.customer_uuid is None:
        return None
    return {
        "uuid": invoice.customer_uuid,
        "name": who.name or None,
        "email": who.email or None,
        "phone": who.phone or None,
    }


def _item_object(item: Item) -> dict[str, str]:
    return {
        "description": item.description,
        "quantity": quantity_text(item),
        "unit_price": render(item.price),
        "total": render(item.total),
    }


def _asked(invoice: Invoice) -> dict[str, Any]:
    """Return an invoice as the fields that would create it, but for who is billed."""
    terms = invoice.terms
    return {
        "currency": terms.currency.code,
        "items": [_item_object(item) for item in terms.items],
        "tax": render(terms.tax),
        "discount": render(terms.discount),
        "number": invoice.number,
        "notes": terms.notes,
        "due_date": terms.due_on.isoformat() if terms.due_on else None,
        "redirect_url": terms.redirect_url,
        "callback_url": terms.callback_url,
        "metadata": json.loads(terms.metadata),
    }
