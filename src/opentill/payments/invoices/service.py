"""Invoices' use cases: one function, one transaction."""

from dataclasses import replace
from typing import Final

from opentill.db import ReadTx, Tx, UniqueViolation
from opentill.events import Event, record
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import brands
from opentill.merchants.model import Merchant
from opentill.payments import service as payments
from opentill.payments import store as payment_rows
from opentill.payments.customers import queries as customers
from opentill.payments.customers import service as customer_service
from opentill.payments.documents import invoice_part
from opentill.payments.invoices import rules, store
from opentill.payments.invoices.model import Invoice, Terms
from opentill.payments.model import Contact, InvoiceStatus, Order, Payment

NUMBER_FORM: Final = "INV-{:06}"
OPEN_PAYMENT: Final = "p.invoice_id = :invoice_id and p.status in ('pending', 'processing')"

Billed = Contact | str  # who is billed: what is known of them, or the UUID of a customer


def create(
    tx: Tx, terms: Terms, billed: Billed, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant
) -> Invoice:
    """Make a draft. Raises Conflict where its number is taken, Invalid where the customer is unknown."""
    owner = merchant.owner
    customer_id = _customer(tx, billed, merchant=merchant, ids=ids, keyring=keyring, now=now)
    uuid, token = ids.uuid7(), ids.hex(64)
    invoice_id = None
    while invoice_id is None:
        number = terms.number or NUMBER_FORM.format(store.next_number(tx, owner=owner))
        invoice_id = store.insert(
            tx,
            uuid,
            token,
            number,
            terms,
            due_until_at=_due_until(tx, terms, owner),
            customer_id=customer_id,
            owner=owner,
            now=now,
        )
        if invoice_id is None and terms.number is not None:
            raise _number_taken()
    return locked(tx, invoice_id, owner=owner, keyring=keyring)


def change(
    tx: Tx,
    invoice: Invoice,
    terms: Terms,
    billed: Billed | None,
    *,
    merchant: Merchant,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Invoice:
    """Save new terms of a locked draft; of a sent invoice only the due date. Raises Conflict otherwise."""
    if billed is not None and invoice.stored_status is not InvoiceStatus.DRAFT:
        raise Conflict("INVALID_STATE", "Only a draft can be billed to somebody else.")
    rules.require_changeable(invoice, terms)
    customer_id = None
    if billed is not None:
        customer_id = _customer(tx, billed, merchant=merchant, ids=ids, keyring=keyring, now=now)
    due_until_at = _due_until(tx, terms, invoice.owner)
    number = terms.number or invoice.number
    try:
        store.update(tx, invoice, number, terms, due_until_at=due_until_at, customer_id=customer_id, now=now)
    except UniqueViolation:
        raise _number_taken() from None
    return locked(tx, invoice.id, owner=invoice.owner, keyring=keyring)


def send(tx: Tx, invoice: Invoice, *, now: Instant) -> Invoice:
    """Let a locked draft be paid. Raises Conflict where it is none."""
    rules.require_sendable(invoice)
    return _set(tx, invoice, InvoiceStatus.SENT, now=now)


def cancel(tx: Tx, invoice: Invoice, *, keyring: Keyring, now: Instant) -> Invoice:
    """End a locked invoice that nobody is paying. Raises Conflict otherwise; callers end an open payment first."""
    rules.require_cancellable(invoice)
    _require_nobody_pays(tx, invoice, keyring=keyring)
    return _set(tx, invoice, InvoiceStatus.CANCELLED, now=now)


def pay_offline(tx: Tx, invoice: Invoice, *, keyring: Keyring, ids: Ids, now: Instant) -> Invoice:
    """Note that a locked invoice was paid outside OpenTill, and record `invoice.paid`. No money moves in our books."""
    rules.require_payable(invoice)
    _require_nobody_pays(tx, invoice, keyring=keyring)
    paid = replace(_set(tx, invoice, InvoiceStatus.PAID, now=now), paid_at=now)
    document = {
        "merchant": {"uuid": paid.merchant_uuid, "account_id": paid.owner.account_id},
        "invoice": invoice_part(paid.name, now),
    }
    record(tx, Event("invoice.paid", paid.owner, "invoice", paid.uuid, now, document, "invoice.paid"), ids=ids)
    return paid


def pay(tx: Tx, invoice_id: int, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant) -> Payment:
    """Return the payment a payer of an invoice goes on with: the open one, or a new one.

    Raises Conflict where the invoice is not to be paid.
    """
    invoice = locked(tx, invoice_id, owner=merchant.owner, keyring=keyring)
    rules.require_payable(invoice)
    under_way = open_payment(tx, invoice, keyring=keyring)
    if under_way is not None:
        return under_way
    return payments.create(tx, _order(tx, invoice, keyring), merchant=merchant, ids=ids, keyring=keyring, now=now)


def locked(tx: Tx, invoice_id: int, *, owner: Owner, keyring: Keyring) -> Invoice:
    """Return an invoice whose row is locked until *tx* ends. Raises NotFound."""
    invoice = store.lock(tx, invoice_id, owner=owner, keyring=keyring)
    if invoice is None:
        raise NotFound("INVOICE_NOT_FOUND", "No such invoice.")
    return invoice


def open_payment(tx: ReadTx, invoice: Invoice, *, keyring: Keyring) -> Payment | None:
    """Return the payment somebody may be paying the invoice with; the database sees to it that there is one at most."""
    return payment_rows.one(tx, OPEN_PAYMENT, owner=invoice.owner, keyring=keyring, invoice_id=invoice.id)


def _order(tx: ReadTx, invoice: Invoice, keyring: Keyring) -> Order:
    customer = None
    if invoice.customer_uuid is not None:
        customer = customers.find(tx, invoice.customer_uuid, owner=invoice.owner, keyring=keyring)
    return Order(
        amount=invoice.terms.total,
        order_id=invoice.number,
        contact=invoice.contact,
        customer_id=customer.id if customer else None,
        redirect_url=invoice.terms.redirect_url,
        callback_url=invoice.terms.callback_url,
        callback_bare=invoice.terms.callback_bare,
        metadata=invoice.terms.metadata,
        invoice=invoice.name,
    )


def _customer(tx: Tx, billed: Billed, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant) -> int | None:
    owner = merchant.owner
    if isinstance(billed, Contact):
        return customer_service.remember(
            tx, billed, owner=owner, merchant_uuid=merchant.uuid, ids=ids, keyring=keyring, now=now
        )
    known = customers.find(tx, billed, owner=owner, keyring=keyring)
    if known is None:
        raise Invalid([Fault("customer_id", "VALIDATION_FAILED", "There is no customer of that id.")])
    return known.id


def _due_until(tx: ReadTx, terms: Terms, owner: Owner) -> Instant | None:
    if terms.due_on is None:
        return None
    return rules.end_of_day(terms.due_on, brands.brand_of(tx, owner).time_zone)


def _require_nobody_pays(tx: ReadTx, invoice: Invoice, *, keyring: Keyring) -> None:
    if open_payment(tx, invoice, keyring=keyring) is not None:
        raise Conflict("INVALID_STATE", "Somebody is paying this invoice at the moment.")


def _set(tx: Tx, invoice: Invoice, status: InvoiceStatus, *, now: Instant) -> Invoice:
    store.set_status(tx, invoice, status, now=now)
    return replace(invoice, stored_status=status, updated_at=now)


def _number_taken() -> Conflict:
    return Conflict("INVOICE_NUMBER_TAKEN", "There is an invoice of this number already.")
