"""Invoices: exact totals, numbers, what pays one, and when it is overdue."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from opentill.db import Database
from opentill.events.service import document_of
from opentill.kernel.clock import DAY, HOUR, MINUTE
from opentill.kernel.errors import Conflict
from opentill.kernel.money import currency, parse, render
from opentill.payments import flow
from opentill.payments.customers import service as customers
from opentill.payments.invoices import queries, rules, service
from opentill.payments.invoices.model import Invoice, Item, Terms
from opentill.payments.model import Contact, InvoiceStatus, Payment, PaymentStatus
from opentill.payments.verification import find_faults
from tests.usecases.payments.shop import Shop, open_shop

BRL = currency("BRL")
ANA = Contact("Ana Lima", "ana@example.com", "")
HOURS = Item("Consulting, hours", 150, parse("180.00", BRL))
TERMS = Terms(BRL, (HOURS,), parse("13.50", BRL), parse("3.50", BRL))


async def create(shop: Shop, terms: Terms = TERMS, contact: Contact = ANA) -> Invoice:
    return await shop.tools.db.write(lambda tx: service.create(tx, terms, contact, **tools(shop)))


async def sent(shop: Shop, terms: Terms = TERMS, contact: Contact = ANA) -> Invoice:
    invoice = await create(shop, terms, contact)
    return await acts(shop, invoice, lambda tx, locked: service.send(tx, locked, now=shop.tools.clock.now()))


async def acts(shop: Shop, invoice: Invoice, act: Any) -> Invoice:
    """Do something to the locked invoice."""

    def work(tx: Any) -> Invoice:
        changed: Invoice = act(tx, service.locked(tx, invoice.id, owner=invoice.owner, keyring=shop.tools.keyring))
        return changed

    return await shop.tools.db.write(work)


async def cancels(shop: Shop, invoice: Invoice) -> Invoice:
    keyring, now = shop.tools.keyring, shop.tools.clock.now()
    return await acts(shop, invoice, lambda tx, locked: service.cancel(tx, locked, keyring=keyring, now=now))


async def take(shop: Shop, invoice: Invoice) -> Payment:
    """Press the pay button of the invoice's page."""
    made = await shop.tools.db.write(lambda tx: service.pay(tx, invoice.id, **tools(shop)))
    return await shop.reads(made)


async def read(shop: Shop, invoice: Invoice) -> Invoice:
    keyring = shop.tools.keyring
    found = await shop.tools.db.read(lambda tx: queries.find(tx, invoice.uuid, owner=invoice.owner, keyring=keyring))
    assert found is not None
    return found


async def faults(shop: Shop) -> list[str]:
    return await shop.tools.db.read(lambda tx: list(find_faults(tx)))


def tools(shop: Shop) -> dict[str, Any]:
    return {
        "merchant": shop.merchant,
        "ids": shop.tools.ids,
        "keyring": shop.tools.keyring,
        "now": shop.tools.clock.now(),
    }


@pytest.mark.parametrize(
    ("code", "hundredths", "price", "total"),
    [
        ("BRL", 100, "0.01", "0.01"),
        ("BRL", 150, "0.01", "0.02"),
        ("BRL", 149, "0.01", "0.01"),
        ("BRL", 333, "9.99", "33.27"),
        ("JPY", 150, "333", "500"),
        ("KWD", 25, "1.001", "0.250"),
        ("CLF", 1, "0.0050", "0.0001"),
    ],
)
def test_a_line_is_rounded_half_up_to_the_currencys_decimals(
    code: str, hundredths: int, price: str, total: str
) -> None:
    assert render(Item("x", hundredths, parse(price, currency(code))).total) == total


async def test_the_total_is_the_sum_of_rounded_lines_with_tax_and_discount(database: Database) -> None:
    shop = await open_shop(database)
    lines = tuple(Item("x", 150, parse("0.01", BRL)) for _ in range(3))

    invoice = await create(shop, Terms(BRL, lines, parse("1.00", BRL), parse("0.50", BRL)))

    assert (render(invoice.terms.subtotal), render(invoice.terms.total)) == ("0.06", "0.56")


async def test_numbers_are_given_one_after_the_other_and_skip_those_taken(database: Database) -> None:
    shop = await open_shop(database)
    await create(shop, replace(TERMS, number="INV-000002"))

    made = await asyncio.gather(*(create(shop) for _ in range(4)))

    assert sorted(invoice.number for invoice in made) == ["INV-000001", "INV-000003", "INV-000004", "INV-000005"]
    with pytest.raises(Conflict) as refused:
        await create(shop, replace(TERMS, number="INV-000001"))
    assert refused.value.code == "INVOICE_NUMBER_TAKEN"


@pytest.mark.checklist("M52")
async def test_a_sent_invoice_is_paid_by_its_payment_once(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)

    payment = await take(shop, invoice)
    assert (payment.amount, payment.order_id, payment.method) == (invoice.terms.total, invoice.number, "invoice")
    assert payment.contact == ANA
    await shop.pays(payment)

    paid = await read(shop, invoice)
    assert (paid.stored_status, paid.paid, paid.payment_uuid) == (InvoiceStatus.PAID, paid.terms.total, payment.uuid)
    assert await shop.events() == [
        "customer.created",
        "payment.pending",
        "payment.processing",
        "payment.completed",
        "invoice.paid",
    ]
    rows = await database.read(lambda tx: tx.all("select doc from event where type <> 'customer.created' order by seq"))
    told = [document_of(row["doc"])["invoice"]["status"] for row in rows]
    assert told == ["sent", "sent", "paid", "paid"]
    with pytest.raises(Conflict):
        await take(shop, invoice)
    assert await faults(shop) == []


async def test_everybody_who_opens_an_invoice_pays_with_one_payment(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)

    taken = await asyncio.gather(*(take(shop, invoice) for _ in range(8)))

    assert len({payment.uuid for payment in taken}) == 1
    await flow.cancel(shop.tools, taken[0].token)
    assert (await take(shop, invoice)).uuid != taken[0].uuid


@pytest.mark.checklist("M52")
async def test_only_a_sent_invoice_is_payable(database: Database) -> None:
    shop = await open_shop(database)
    draft = await create(shop)

    with pytest.raises(Conflict):
        await take(shop, draft)
    cancelled = await cancels(shop, draft)
    assert cancelled.stored_status is InvoiceStatus.CANCELLED
    with pytest.raises(Conflict):
        await take(shop, draft)
    with pytest.raises(Conflict):
        await cancels(shop, draft)


async def test_an_invoice_somebody_is_paying_is_not_cancelled(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)
    payment = await take(shop, invoice)

    with pytest.raises(Conflict):
        await cancels(shop, invoice)
    await flow.cancel(shop.tools, payment.token)

    assert (await cancels(shop, invoice)).stored_status is InvoiceStatus.CANCELLED


async def test_late_money_for_an_invoice_that_was_paid_waits_for_a_person(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)
    late = await shop.loses(await take(shop, invoice))
    assert late.status is PaymentStatus.EXPIRED
    in_time = await take(shop, invoice)
    await shop.pays(in_time)

    late = await shop.hears_late(late)

    assert (late.status, late.late) == (PaymentStatus.COMPLETED, True)
    paid = await read(shop, invoice)
    assert (paid.payment_uuid, paid.paid.units) == (in_time.uuid, 2 * paid.terms.total.units)
    assert (await shop.events()).count("invoice.paid") == 1
    assert await shop.reviews() == ["its invoice was paid or cancelled before"]
    assert await faults(shop) == []


async def test_money_of_another_amount_that_waits_too_keeps_late_money_from_nothing(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)
    late = await shop.loses(await take(shop, invoice))
    await shop.pays(await take(shop, invoice))
    await shop.hears_late(replace(late, amount=late.amount + late.amount), "more")

    late = await shop.hears_late(late)

    assert (late.status, late.late) == (PaymentStatus.COMPLETED, True)
    assert (await shop.reviews())[-1] == "its invoice was paid or cancelled before"
    assert await faults(shop) == []


async def test_an_invoice_paid_elsewhere_says_so_without_a_payment(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)
    keyring, ids, now = shop.tools.keyring, shop.tools.ids, shop.tools.clock.now()

    paid = await acts(
        shop, invoice, lambda tx, locked: service.pay_offline(tx, locked, keyring=keyring, ids=ids, now=now)
    )

    assert (paid.stored_status, paid.paid_at, paid.payment_uuid) == (InvoiceStatus.PAID, now, None)
    assert await read(shop, invoice) == paid
    assert (await shop.events())[-1] == "invoice.paid"
    assert await shop.balances() == {}
    assert await faults(shop) == []


async def test_an_invoice_is_overdue_once_its_day_has_ended_where_the_merchant_is(database: Database) -> None:
    shop = await open_shop(database)  # 12:30 in São Paulo on 7 March
    invoice = await sent(shop, replace(TERMS, due_on=date(2026, 3, 7)))

    shop.scene.clock.advance(11 * HOUR + 29 * MINUTE)
    assert invoice.status(shop.tools.clock.now()) is InvoiceStatus.SENT
    shop.scene.clock.advance(MINUTE)
    assert invoice.status(shop.tools.clock.now()) is InvoiceStatus.OVERDUE

    moved = await acts(
        shop,
        invoice,
        lambda tx, locked: service.change(
            tx, locked, replace(locked.terms, due_on=date(2026, 3, 9)), None, **tools(shop)
        ),
    )
    assert moved.status(shop.tools.clock.now()) is InvoiceStatus.SENT
    await shop.pays(await take(shop, invoice))
    assert (await read(shop, invoice)).status(shop.tools.clock.now() + 9 * DAY) is InvoiceStatus.PAID


@pytest.mark.checklist("M52")
@pytest.mark.parametrize(
    ("state", "sending", "cancelling", "settling", "moving"),
    [
        ("draft", "sent", "cancelled", "draft", "draft"),
        ("sent", "sent", "cancelled", "paid", "sent"),
        ("overdue", "overdue", "cancelled", "paid", "sent"),
        ("paid", "paid", "paid", "paid", "paid"),
        ("cancelled", "cancelled", "cancelled", "cancelled", "cancelled"),
    ],
)
async def test_an_invoice_goes_where_the_table_says_and_nowhere_else(
    database: Database, state: str, sending: str, cancelling: str, settling: str, moving: str
) -> None:
    shop = await open_shop(database)
    keyring, ids = shop.tools.keyring, shop.tools.ids
    due = replace(TERMS, due_on=date(2026, 3, 7))
    acts_and_ends = (
        (lambda tx, one: service.send(tx, one, now=shop.tools.clock.now()), sending),
        (lambda tx, one: service.cancel(tx, one, keyring=keyring, now=shop.tools.clock.now()), cancelling),
        (
            lambda tx, one: service.pay_offline(tx, one, keyring=keyring, ids=ids, now=shop.tools.clock.now()),
            settling,
        ),
        (
            lambda tx, one: service.change(tx, one, replace(one.terms, due_on=date(2027, 3, 7)), None, **tools(shop)),
            moving,
        ),
    )
    invoices = [await (create if state == "draft" else sent)(shop, due) for _ in acts_and_ends]
    for invoice in invoices:
        if state == "cancelled":
            await cancels(shop, invoice)
        elif state == "paid":
            await shop.pays(await take(shop, invoice))
    if state == "overdue":
        shop.scene.clock.advance(DAY)
    told = (await shop.events()).count("invoice.paid")

    for invoice, (act, end) in zip(invoices, acts_and_ends, strict=True):
        assert (await read(shop, invoice)).status(shop.tools.clock.now()) == state
        with suppress(Conflict):
            await acts(shop, invoice, act)
        assert (await read(shop, invoice)).status(shop.tools.clock.now()) == end

    paid = settling == "paid" != state
    assert (await shop.events()).count("invoice.paid") == told + paid


async def test_once_sent_nothing_but_the_due_date_moves(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)

    for terms in (TERMS, replace(TERMS, number="A-1"), replace(TERMS, tax=parse("1", BRL))):
        with pytest.raises(Conflict):
            rules.require_changeable(invoice, replace(terms, number=terms.number or invoice.number))


async def test_an_invoice_of_an_erased_customer_shows_nobody_and_is_still_payable(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop)
    assert invoice.customer_uuid is not None
    await database.write(lambda tx: customers.erase(tx, invoice.customer_uuid or "", owner=invoice.owner))

    shown = await read(shop, invoice)
    assert (shown.customer_uuid, shown.contact) == (None, Contact())
    await shop.pays(await take(shop, invoice))
    assert (await read(shop, invoice)).stored_status is InvoiceStatus.PAID


async def test_a_customer_without_an_address_stays_one_customer(database: Database) -> None:
    shop = await open_shop(database)
    invoice = await sent(shop, contact=Contact("Bia"))

    payment = await take(shop, invoice)

    assert payment.contact == Contact("Bia")
    assert len(await database.read(lambda tx: tx.all("select id from customer"))) == 1
