"""SQL of invoices and of their numbers."""

import json
from datetime import date
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.db.listing import Listing
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Currency, Money, currency
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.customers import store as customers
from opentill.payments.invoices.model import Invoice, Item, Terms
from opentill.payments.model import InvoiceStatus, Payment

INVOICE: Final = """
        select i.id, i.uuid, i.token, i.number, i.merchant_id, i.mode, i.status, i.currency, i.items, i.tax_units,
               i.discount_units, i.paid_units, i.notes, i.due_on, i.due_until_at, i.redirect_url, i.callback_url,
               i.callback_bare, i.metadata, i.paid_at, i.created_at, i.updated_at, m.uuid as merchant_uuid,
               c.uuid as customer_uuid, c.sealed, p.uuid as payment_uuid
          from invoice i
          join merchant m on m.id = i.merchant_id
          left join customer c on c.id = i.customer_id
          left join payment p on p.id = i.payment_id
"""


def next_number(tx: Tx, *, owner: Owner) -> int:
    """Return the owner's next number; those who ask at once get one after the other."""
    [row] = tx.all(
        """
        insert into invoice_number (merchant_id, mode, last) values (:merchant_id, :mode, 1)
        on conflict (merchant_id, mode) do update set last = invoice_number.last + 1
        returning last
        """,
        **owner.columns,
    )
    last: int = row["last"]
    return last


def insert(
    tx: Tx,
    uuid: str,
    token: str,
    number: str,
    terms: Terms,
    *,
    due_until_at: Instant | None,
    customer_id: int | None,
    owner: Owner,
    now: Instant,
) -> int | None:
    """Insert a draft and return its id; None if the owner has an invoice of this number."""
    made = tx.all(
        """
        insert into invoice (uuid, token, merchant_id, mode, number, currency, items, subtotal_units, tax_units,
                             discount_units, total_units, notes, due_on, due_until_at, customer_id, redirect_url,
                             callback_url, callback_bare, metadata, created_at, updated_at)
        values (:uuid, :token, :merchant_id, :mode, :number, :currency, :items, :subtotal_units, :tax_units,
                :discount_units, :total_units, :notes, :due_on, :due_until_at, :customer_id, :redirect_url,
                :callback_url, :callback_bare, :metadata, :now, :now)
        on conflict (merchant_id, mode, number) do nothing
        returning id
        """,
        uuid=uuid,
        token=token,
        number=number,
        customer_id=customer_id,
        due_until_at=due_until_at,
        now=now,
        **owner.columns,
        **_columns(terms),
    )
    return made[0]["id"] if made else None


def update(
    tx: Tx,
    invoice: Invoice,
    number: str,
    terms: Terms,
    *,
    due_until_at: Instant | None,
    customer_id: int | None,
    now: Instant,
) -> None:
    """Save a locked invoice's terms; without a *customer_id* the customer stays."""
    tx.run(
        """
        update invoice
           set number = :number, currency = :currency, items = :items, subtotal_units = :subtotal_units,
               tax_units = :tax_units, discount_units = :discount_units, total_units = :total_units, notes = :notes,
               due_on = :due_on, due_until_at = :due_until_at, customer_id = coalesce(:customer_id, customer_id),
               redirect_url = :redirect_url, callback_url = :callback_url, callback_bare = :callback_bare,
               metadata = :metadata, updated_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=invoice.id,
        number=number,
        customer_id=customer_id,
        due_until_at=due_until_at,
        now=now,
        **invoice.owner.columns,
        **_columns(terms),
    )


def set_status(tx: Tx, invoice: Invoice, status: InvoiceStatus, *, now: Instant) -> None:
    """Save where a locked invoice stands; paid here means paid elsewhere, without a payment."""
    tx.run(
        """
        update invoice set status = :status, updated_at = :now, paid_at = case when :status = 'paid' then :now end
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=invoice.id,
        status=status.value,
        now=now,
        **invoice.owner.columns,
    )


def pay(tx: Tx, invoice_id: int, completed: Payment, *, now: Instant) -> bool:
    """Count a completed payment's money; tell whether this is what pays the invoice. Only one payment does."""
    found = {"id": invoice_id, **completed.owner.columns}
    tx.run(
        """
        update invoice set paid_units = paid_units + :units, updated_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        units=completed.amount.units,
        now=now,
        **found,
    )
    paid = tx.run(
        """
        update invoice set status = 'paid', paid_at = :now, payment_id = :payment_id
         where id = :id and merchant_id = :merchant_id and mode = :mode and status = 'sent'
        """,
        payment_id=completed.id,
        now=now,
        **found,
    )
    return paid == 1


def status(tx: ReadTx, invoice_id: int, *, owner: Owner) -> InvoiceStatus:
    """Return the stored status of an owner's invoice."""
    [row] = tx.all(
        "select status from invoice where id = :id and merchant_id = :merchant_id and mode = :mode",
        id=invoice_id,
        **owner.columns,
    )
    return InvoiceStatus(row["status"])


def lock(tx: Tx, invoice_id: int, *, owner: Owner, keyring: Keyring) -> Invoice | None:
    """Load an owner's invoice and lock its row until *tx* ends."""
    if tx.one_or_none(
        f"select id from invoice where id = :id and merchant_id = :merchant_id and mode = :mode{for_update(tx)}",
        id=invoice_id,
        **owner.columns,
    ):
        return one(tx, "i.id = :id", owner=owner, keyring=keyring, id=invoice_id)
    return None


def one(tx: ReadTx, condition: str, *, owner: Owner, keyring: Keyring, **params: Any) -> Invoice | None:
    """Return an owner's invoice that meets a condition of this feature's own making, the newest of several."""
    row = Listing(owner, "i").where(condition, **params).newest(tx, INVOICE)
    return as_invoice(row, keyring) if row else None


def as_invoice(row: Row, keyring: Keyring) -> Invoice:
    """Read a row of INVOICE; an erased customer reads as nobody."""
    in_currency = currency(row["currency"])
    return Invoice(
        id=row["id"],
        uuid=row["uuid"],
        token=row["token"],
        number=row["number"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        merchant_uuid=row["merchant_uuid"],
        stored_status=InvoiceStatus(row["status"]),
        terms=_terms(row, in_currency),
        due_until_at=row["due_until_at"],
        paid=Money(row["paid_units"], in_currency),
        customer_uuid=row["customer_uuid"] if row["sealed"] is not None else None,
        contact=customers.opened(row["sealed"], row["customer_uuid"], keyring),
        payment_uuid=row["payment_uuid"],
        paid_at=row["paid_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _terms(row: Row, in_currency: Currency) -> Terms:
    return Terms(
        currency=in_currency,
        items=tuple(
            Item(kept["description"], kept["hundredths"], Money(kept["price_units"], in_currency))
            for kept in json.loads(row["items"])
        ),
        tax=Money(row["tax_units"], in_currency),
        discount=Money(row["discount_units"], in_currency),
        number=row["number"],
        notes=row["notes"],
        due_on=date.fromisoformat(row["due_on"]) if row["due_on"] else None,
        redirect_url=row["redirect_url"],
        callback_url=row["callback_url"],
        callback_bare=bool(row["callback_bare"]),
        metadata=row["metadata"],
    )


def _columns(terms: Terms) -> dict[str, Any]:
    return {
        "currency": terms.currency.code,
        "items": json.dumps([_stored(item) for item in terms.items], ensure_ascii=False),
        "subtotal_units": terms.subtotal.units,
        "tax_units": terms.tax.units,
        "discount_units": terms.discount.units,
        "total_units": terms.total.units,
        "notes": terms.notes,
        "due_on": terms.due_on.isoformat() if terms.due_on else None,
        "redirect_url": terms.redirect_url,
        "callback_url": terms.callback_url,
        "callback_bare": int(terms.callback_bare),
        "metadata": terms.metadata,
    }


def _stored(item: Item) -> dict[str, object]:
    return {
        "description": item.description,
        "hundredths": item.hundredths,
        "price_units": item.price.units,
        "total_units": item.total.units,
    }
