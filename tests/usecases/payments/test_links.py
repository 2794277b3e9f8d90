"""Payment links: terms, uses under concurrency, and what a paid one says."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from opentill.db import CheckViolation, Database
from opentill.events.service import document_of
from opentill.kernel.clock import HOUR, MINUTE
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.money import Money, currency, parse
from opentill.payments import flow
from opentill.payments.links import queries, service
from opentill.payments.links.model import Link, LinkStatus, Terms
from opentill.payments.links.rules import status_of
from opentill.payments.links.service import Answers
from opentill.payments.model import Contact, Payment, PaymentStatus
from opentill.payments.verification import find_faults
from tests.usecases.payments.shop import Shop, open_shop

BRL = currency("BRL")
TEA = Terms("Earl Grey", BRL, parse("24.90", BRL), slug="tea", metadata='{"sku":"T-1"}')


async def create(shop: Shop, terms: Terms = TEA) -> Link:
    return await shop.tools.db.write(
        lambda tx: service.create(tx, terms, owner=shop.merchant.owner, ids=shop.tools.ids, now=shop.tools.clock.now())
    )


async def take(shop: Shop, link: Link, amount: Money | None = None, **answers: Any) -> Payment:
    """Ask at the link's page to pay."""
    said = Answers(
        amount or parse("24.90", BRL), answers.pop("contact", Contact()), answers.pop("fields", {}), **answers
    )
    made = await shop.tools.db.write(
        lambda tx: service.pay(
            tx,
            link.id,
            said,
            merchant=shop.merchant,
            ids=shop.tools.ids,
            keyring=shop.tools.keyring,
            now=shop.tools.clock.now(),
        )
    )
    return await shop.reads(made)


async def change(shop: Shop, link: Link, **terms: Any) -> Link:
    return await shop.tools.db.write(
        lambda tx: service.change(
            tx,
            service.locked(tx, link.id, owner=link.owner),
            replace(link.terms, **terms),
            now=shop.tools.clock.now(),
        )
    )


async def read(shop: Shop, link: Link) -> Link:
    found = await shop.tools.db.read(lambda tx: queries.find(tx, link.uuid, owner=link.owner))
    assert found is not None
    return found


async def status(shop: Shop, link: Link) -> LinkStatus:
    return status_of(await read(shop, link), shop.tools.clock.now())


async def faults(shop: Shop) -> list[str]:
    return await shop.tools.db.read(lambda tx: list(find_faults(tx)))


async def test_a_paid_link_counts_the_payment_and_says_so(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop)

    payment = await take(shop, link, contact=Contact("Ana", "ana@example.com"))
    assert (payment.link, payment.method) == (link.name, "link")
    assert (payment.amount, payment.metadata) == (parse("24.90", BRL), '{"sku":"T-1"}')
    await shop.pays(payment)

    assert await shop.events() == [
        "customer.created",
        "payment.pending",
        "payment.processing",
        "payment.completed",
        "payment_link.paid",
    ]
    counted = await read(shop, link)
    assert (counted.use_count, counted.open_count) == (1, 0)
    assert await faults(shop) == []


async def test_every_event_of_such_a_payment_names_the_link(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop)
    await shop.pays(await take(shop, link))

    rows = await database.read(lambda tx: tx.all("select merchant_type, doc from event order by seq"))

    told = [document_of(row["doc"]) for row in rows]
    assert all(document["link"] == {"uuid": link.uuid, "slug": "tea", "title": "Earl Grey"} for document in told)
    assert all(document["payment"]["method"] == "link" for document in told)
    assert rows[-1]["merchant_type"] == "payment_link.paid"


async def test_two_people_cannot_both_pay_with_a_last_use(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop, replace(TEA, max_uses=3))

    taken = await asyncio.gather(*(take(shop, link) for _ in range(12)), return_exceptions=True)

    payments = [made for made in taken if isinstance(made, Payment)]
    refused = {made.code for made in taken if isinstance(made, Conflict)}
    assert (len(payments), refused) == (3, {"TAKEN"})
    for payment in payments:
        await shop.pays(payment)
    assert await status(shop, link) is LinkStatus.EXPIRED
    with pytest.raises(Conflict) as full:
        await take(shop, link)
    assert full.value.code == "USED_UP"
    assert await faults(shop) == []


async def test_the_schema_refuses_one_use_too_many(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop, replace(TEA, max_uses=1))
    await take(shop, link)

    with pytest.raises(CheckViolation):
        await database.write(lambda tx: tx.run("update payment_link set open_count = open_count + 1"))


async def test_a_payment_that_ends_gives_its_place_back(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop, replace(TEA, max_uses=1))

    cancelled = await take(shop, link)
    await flow.cancel(shop.tools, cancelled.token)
    expired = await take(shop, link)
    shop.scene.clock.advance(31 * MINUTE)
    await flow.expire_due(shop.tools)
    paid = await take(shop, link)
    await shop.pays(paid, "declined")
    assert (await read(shop, link)).open_count == 1  # another try may follow
    await shop.pays(paid)

    assert (await shop.reads(expired)).status is PaymentStatus.EXPIRED
    counted = await read(shop, link)
    assert (counted.use_count, counted.open_count) == (1, 0)
    assert await faults(shop) == []


@pytest.mark.checklist("M58")
async def test_late_money_counts_even_beyond_the_limit(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop, replace(TEA, max_uses=1))
    late = await shop.loses(await take(shop, link))
    assert late.status is PaymentStatus.EXPIRED
    await shop.pays(await take(shop, link))

    late = await shop.hears_late(late)

    assert (late.status, late.late) == (PaymentStatus.COMPLETED, True)
    counted = await read(shop, link)
    assert (counted.use_count, counted.open_count) == (2, 0)
    with pytest.raises(Conflict):
        await take(shop, link)
    assert await faults(shop) == []


async def test_the_payer_of_an_open_link_says_how_much_within_limits(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop, Terms("Gift", BRL, None, parse("5", BRL), parse("100", BRL)))
    assert len(link.slug) == 10

    assert (await take(shop, link, parse("7.50", BRL))).amount == parse("7.50", BRL)
    for amount in ("4.99", "100.01", "0"):
        with pytest.raises(Conflict) as refused:
            await take(shop, link, parse(amount, BRL))
        assert refused.value.code == "INVALID_AMOUNT"


async def test_answers_and_address_are_kept_with_the_payment(database: Database) -> None:
    shop = await open_shop(database)
    link = await service_with_question(shop)

    payment = await take(shop, link, fields={"size": "M"}, address="Rua A, 1")

    assert payment.metadata == '{"sku":"T-1","fields":{"size":"M"},"address":"Rua A, 1"}'


async def service_with_question(shop: Shop) -> Link:
    from opentill.payments.links.model import Kind, Question

    question = Question("size", "Size", Kind.SELECT, ("S", "M"), required=True)
    return await create(shop, replace(TEA, questions=(question,), require_address=True))


async def test_a_stranger_at_a_links_page_renames_no_customer(database: Database) -> None:
    shop = await open_shop(database)
    await shop.orders("1.00", contact=Contact("Ana Lima", "ana@example.com"))

    payment = await take(shop, await create(shop), contact=Contact("Mallory", "ANA@example.com"))

    assert payment.contact == Contact("Ana Lima", "ana@example.com")


@pytest.mark.checklist("M52")
async def test_a_link_stops_by_switch_and_by_time_and_goes_on_when_that_moves(database: Database) -> None:
    shop = await open_shop(database)
    now = shop.tools.clock.now()
    link = await create(shop, replace(TEA, expires_at=now + HOUR))

    off = await change(shop, link, active=False)
    assert await status(shop, link) is LinkStatus.INACTIVE
    with pytest.raises(Conflict):
        await take(shop, link)
    on = await change(shop, off, active=True)
    assert await status(shop, link) is LinkStatus.ACTIVE
    shop.scene.clock.advance(HOUR)
    assert await status(shop, link) is LinkStatus.EXPIRED
    with pytest.raises(Conflict):
        await take(shop, link)
    await change(shop, on, expires_at=now + 3 * HOUR)
    assert await status(shop, link) is LinkStatus.ACTIVE
    await take(shop, link)


async def test_a_limit_below_what_was_used_is_kept_and_nothing_more_is_sold(database: Database) -> None:
    shop = await open_shop(database)
    link = await create(shop)
    for _ in range(2):
        await shop.pays(await take(shop, link))

    await change(shop, link, max_uses=1)

    assert await status(shop, link) is LinkStatus.EXPIRED
    with pytest.raises(Conflict):
        await take(shop, link)
    assert await faults(shop) == []


async def test_a_slug_is_one_address_of_the_whole_install(database: Database) -> None:
    shop = await open_shop(database)
    await create(shop)

    with pytest.raises(Conflict) as refused:
        await create(shop)
    assert refused.value.code == "SLUG_TAKEN"
    other = await create(shop, replace(TEA, slug="coffee"))
    with pytest.raises(Conflict) as taken:
        await change(shop, other, slug="tea")
    assert taken.value.code == "SLUG_TAKEN"


async def test_a_gateway_that_is_off_cannot_be_named(database: Database) -> None:
    shop = await open_shop(database)

    with pytest.raises(NotFound) as refused:
        await create(shop, replace(TEA, gateway="nowhere"))

    assert refused.value.code == "GATEWAY_NOT_FOUND"


async def test_a_payment_keeps_its_link_for_ever(database: Database) -> None:
    shop = await open_shop(database)
    await take(shop, await create(shop))

    with pytest.raises(CheckViolation):
        await database.write(lambda tx: tx.run("update payment set link_id = null"))
