"""The page of a payment link, read and sent by a browser without scripts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR, MINUTE
from opentill.kernel.money import currency, parse
from opentill.payments import queries
from opentill.payments.links.model import Kind, Question
from opentill.payments.model import Contact, Payment
from tests.usecases.checkout.shop import Shop, open_shop

pytestmark = pytest.mark.anyio

BRL = currency("BRL")
ANA = {"name": "Ana Lima", "email": "ana@example.com"}


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path)


async def payments(shop: Shop) -> list[Payment]:
    found = await shop.db.read(
        lambda tx: queries.page(
            tx,
            queries.Filters(),
            owner=shop.merchant.owner,
            keyring=shop.scene.keyring,
            now=shop.clock.now(),
            limit=50,
        )
    )
    return list(found)


async def test_a_payer_goes_from_the_link_to_the_receipt(shop: Shop) -> None:
    await shop.links()
    page = await shop.browser().opens("/pay/tea")
    assert page.heading == "Who is paying?"
    assert "R$24.90" in page.text
    assert "Padaria São João" in page.text

    await page.presses("Go on and pay", **ANA)
    assert page.heading == "How would you like to pay?"
    await page.presses("sandbox")
    await page.presses("paid")

    assert page.heading == "Payment received"
    [payment] = await payments(shop)
    assert (payment.method, payment.contact) == ("link", Contact("Ana Lima", "ana@example.com"))
    assert payment.amount == parse("24.90", BRL)


async def test_pressing_twice_makes_one_payment_and_leads_there_twice(shop: Shop) -> None:
    await shop.links(max_uses=1)
    page = await shop.browser().opens("/pay/tea")
    [form] = page.forms
    fields = form.fields | ANA

    first = await page.sends(form.action, fields, follow=False)
    second = await page.sends(form.action, fields, follow=False)

    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert len(await payments(shop)) == 1


async def test_what_is_wrong_is_marked_and_what_was_typed_is_kept(shop: Shop) -> None:
    await shop.links(amount=None, least=parse("5", BRL), most=parse("100", BRL), require_address=True)
    page = await shop.browser().opens("/pay/tea")
    assert "From R$5.00 to R$100.00." in page.text

    answer = await page.presses("Go on to pay", amount="4", name="", email="ana", address="")

    assert answer.status_code == 422
    for sentence in (
        "This is less than the shop takes.",
        "Please fill this in.",
        "This is not an e-mail address.",
    ):
        assert sentence in page.text
    assert page.forms[0].fields["amount"] == "4"
    assert page.forms[0].fields["email"] == "ana"
    assert await payments(shop) == []


async def test_the_payers_amount_and_answers_are_the_payments(shop: Shop) -> None:
    questions = (
        Question("size", "Size", Kind.SELECT, ("S", "M"), required=True),
        Question("engraving", "Engraving", Kind.TEXT, (), required=False),
        Question("copies", "Copies", Kind.NUMBER, (), required=True),
    )
    await shop.links(amount=None, questions=questions, require_address=True, metadata='{"sku":"T-1"}')
    page = await shop.browser().opens("/pay/tea")

    told = {"amount": "1.234,50", "address": "Rua A, 1\r\nSão Paulo", "field_size": "XL", "field_copies": "two"}
    await page.presses("Go on to pay", **ANA, **told)
    assert "Please choose one of these." in page.text
    assert "Please write a number." in page.text
    await page.presses("Go on to pay", **ANA, **told | {"field_size": "M", "field_copies": "2"})

    [payment] = await payments(shop)
    assert payment.amount == parse("1234.50", BRL)
    assert json.loads(payment.metadata) == {
        "sku": "T-1",
        "fields": {"size": "M", "engraving": "", "copies": "2"},
        "address": "Rua A, 1\nSão Paulo",
    }


async def test_a_page_of_older_terms_is_shown_again(shop: Shop) -> None:
    from opentill.payments.links import service

    link = await shop.links()
    page = await shop.browser().opens("/pay/tea")
    shop.clock.advance(MINUTE)
    dearer = replace(link.terms, amount=parse("30", BRL))
    await shop.db.write(lambda tx: service.change(tx, link, dearer, now=shop.clock.now()))

    await page.presses("Go on and pay", **ANA)

    assert "This page had changed since you opened it" in page.text
    assert "R$30.00" in page.text
    assert page.forms[0].fields["name"] == "Ana Lima"
    assert await payments(shop) == []


@pytest.mark.parametrize(
    ("terms", "heading"),
    [
        ({"active": False}, "Not available at the moment"),
        ({"expires_at": 1}, "The time for this payment link is over"),
    ],
)
async def test_a_link_that_takes_no_payment_says_why(shop: Shop, terms: dict[str, object], heading: str) -> None:
    await shop.links(**terms)

    page = await shop.browser().opens("/pay/tea")

    assert page.heading == heading
    assert page.forms == []


async def test_the_last_use_is_held_for_who_came_first(shop: Shop) -> None:
    await shop.links(max_uses=1)
    first = await shop.browser().opens("/pay/tea")
    second = await shop.browser().opens("/pay/tea")
    await first.presses("Go on and pay", **ANA)

    await second.presses("Go on and pay", **ANA)
    assert second.heading == "Somebody else is paying right now"
    await first.presses("sandbox")
    await first.presses("paid")

    assert (await second.opens("/pay/tea")).heading == "This has been paid already"


async def test_an_unknown_link_is_not_there(shop: Shop) -> None:
    assert (await shop.browser().opens("/pay/nothing")).page.status_code == 404


async def test_one_address_cannot_ask_for_payments_without_end(shop: Shop) -> None:
    await shop.links()
    page = shop.browser()
    statuses = []
    for _ in range(22):
        await page.opens("/pay/tea")
        statuses.append((await page.presses("Go on and pay", follow=False, **ANA)).status_code)

    assert statuses == [303] * 20 + [429] * 2
    shop.clock.advance(HOUR)
    await page.opens("/pay/tea")
    assert (await page.presses("Go on and pay", follow=False, **ANA)).status_code == 303


async def test_an_expired_payment_of_a_link_leads_back_to_it(shop: Shop) -> None:
    await shop.links()
    page = await shop.browser().opens("/pay/tea")
    await page.presses("Go on and pay", **ANA)
    [payment] = await payments(shop)
    shop.clock.advance(HOUR)

    await page.opens(f"/checkout/{payment.token}")

    assert page.heading == "The time for this payment is over"
    assert page.links("Back to the payment link") == ["/pay/tea"]
