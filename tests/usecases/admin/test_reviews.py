"""The review queue: what a person sees before they decide, what they ask the payer, and why something is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from opentill.admin.screens.reviews import PAGE
from opentill.db import Database, Tx
from opentill.gateways.port import PaidVerdict
from opentill.kernel.clock import MINUTE, SECOND
from opentill.kernel.money import Money
from opentill.operators.reasons import Reason
from opentill.operators.review import call_person
from opentill.payments import flow, service
from opentill.payments.model import Contact, Payment, PaymentStatus
from opentill.payments.store import sessions
from opentill.pix.model import State
from tests.usecases.admin.house import House, open_house
from tests.usecases.checkout.shop import Browser, Shop
from tests.usecases.checkout.test_manual import PNG, offers_wallet, sends
from tests.usecases.payments.test_two_ways_at_once import state_of_code, submitted_with_a_code

PAYER = Contact("Caio", "caio@casa.example")


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    house = await open_house(database, tmp_path)
    await database.write(lambda tx: tx.run("update review_item set resolution = 'settled', resolved_at = created_at"))
    await offers_wallet(house.shop)
    return house


async def submitted(house: House, language: str = "en", **order: Any) -> tuple[str, Browser]:
    """Let Caio say that they paid; return the payment's reference and their page."""
    payment = await house.shop.orders(**{"contact": PAYER} | order)
    page = await house.shop.browser(**{"accept-language": language}).opens(f"/checkout/{payment.token}")
    await page.presses("wallet")
    await sends(page, [("receipt.png", PNG)], provider_trx_id="8N7A6D5", sender="+5511", branch="17")
    return payment.reference, page


async def opens_queue(house: House, email: str = "ana@loja.example", **headers: str) -> Browser:
    return await (await house.browser(email, **headers)).opens(f"{house.home}/reviews")


async def test_who_decides_sees_what_the_payer_said_and_sent(house: House) -> None:
    reference, _ = await submitted(house, amount="150.00")
    queue = await opens_queue(house)

    for told in (reference, "R$150.00", "Caio", "caio@casa.example", "Wallet", "8N7A6D5", "+5511", "Branch", "17"):
        assert told in queue.text
    [place] = queue.links("receipt.png")
    proof = await queue.client.get(place)
    assert proof.content == PNG
    assert proof.headers["content-disposition"] == "attachment; filename*=UTF-8''receipt.png"


async def test_a_proof_is_sent_only_to_who_may_see_it(house: House) -> None:
    await submitted(house)
    [place] = (await opens_queue(house)).links("receipt.png")
    await house.joins("bia@loja.example", "support")
    queue = await opens_queue(house, "bia@loja.example")

    assert "receipt.png" in queue.text
    assert queue.links("receipt.png") == []
    assert (await queue.client.get(place)).status_code == 403


async def test_a_question_reaches_the_payer_and_what_they_send_anew_replaces_the_first(house: House) -> None:
    _, page = await submitted(house, "pt-BR")
    queue = await opens_queue(house)
    await queue.presses("Take it")
    await queue.presses("ask", question="Please send the whole receipt.")
    assert "Please send the whole receipt." in queue.text

    await page.opens(str(page.page.url))
    assert "Please send the whole receipt." in page.text
    [again] = page.links("Corrigir")
    await page.opens(again)
    assert page.links("Cancelar") == []
    await sends(page, [("whole.png", PNG)], provider_trx_id="8N7A6D5", branch="18")
    assert "Please send the whole receipt." not in page.text
    await queue.opens(f"{house.home}/reviews")
    assert queue.links("whole.png") != []
    assert "sent anew by the payer" in queue.text

    [row] = await house.shop.db.read(lambda tx: tx.all("select * from mail where kind = 'payer-asked'"))
    letter = json.loads(house.shop.scene.keyring.open(row["sealed"], f"mail.sealed/{row['public_id']}"))
    assert (letter["to"], letter["language"]) == ("caio@casa.example", "pt-BR")
    assert letter["facts"]["question"] == "Please send the whole receipt."
    assert letter["facts"]["link"].endswith(page.page.url.path)


async def test_a_payer_who_was_not_asked_cannot_send_anew(house: House) -> None:
    _, page = await submitted(house)
    await page.opens(f"{page.page.url}?correct=1")
    assert page.heading == "We are checking your payment"


@pytest.mark.parametrize(
    ("language", "take", "reason"),
    [
        ("en", "Take it", "R$99.90 was asked; accepting another amount needs a permission."),
        ("pt-BR", "Assumir", "Foram pedidos R$ 99,90; aceitar outro valor exige uma permissão."),
        ("es", "Tomarlo", "Se pidieron 99,90 BRL; aceptar otro importe exige un permiso."),
    ],
)
async def test_a_refused_decision_says_why_in_the_language_of_who_decides(
    house: House, language: str, take: str, reason: str
) -> None:
    reference, _ = await submitted(house)
    await house.joins("bia@loja.example", "finance")
    queue = await opens_queue(house, "bia@loja.example", **{"accept-language": language})
    await queue.presses(take)
    await queue.presses("approve", seen="12.00", reason="")

    assert queue.page.status_code == 403
    assert reason in queue.text
    assert f"{house.home}/reviews" in queue.page.text
    assert reference in (await queue.opens(f"{house.home}/reviews")).text


async def test_an_amount_that_cannot_be_read_is_said_to_be_one(house: House) -> None:
    await submitted(house)
    queue = await opens_queue(house)
    await queue.presses("Take it")
    await queue.presses("approve", seen="ninety", reason="")

    assert queue.page.status_code == 422
    assert "Enter a plain amount, for example 0.50." in queue.text


async def test_the_question_leads_to_the_host_the_merchant_has_of_its_own(house: House) -> None:
    await submitted(house)
    await house.shop.db.write(lambda tx: tx.run("update merchant set primary_host = 'pay.padaria.example'"))
    queue = await opens_queue(house)
    await queue.presses("Take it")
    await queue.presses("ask", question="Which branch?")

    [row] = await house.shop.db.read(lambda tx: tx.all("select * from mail where kind = 'payer-asked'"))
    letter = json.loads(house.shop.scene.keyring.open(row["sealed"], f"mail.sealed/{row['public_id']}"))
    assert letter["facts"]["link"].startswith("https://pay.padaria.example/checkout/")


async def test_an_item_somebody_else_has_says_whose_it_is(house: House) -> None:
    await submitted(house)
    await house.joins("bia@loja.example", "finance")
    ana, bia = await opens_queue(house), await opens_queue(house, "bia@loja.example")
    await ana.presses("Take it")
    await bia.presses("Take it")
    assert "Ana is deciding this." in bia.text


async def test_who_decides_takes_an_item_over_from_somebody_who_is_away(house: House) -> None:
    await submitted(house)
    await house.joins("caio@loja.example", "support")
    await house.joins("bia@loja.example", "finance")
    await (await opens_queue(house, "caio@loja.example")).presses("Take it")
    bia = await opens_queue(house, "bia@loja.example")

    await bia.presses("Take it over")

    assert "Approve" in bia.text


async def test_money_that_came_another_way_is_marked_as_paid_once(house: House) -> None:
    payment = await house.shop.orders("40.00")
    browser = await house.browser()
    place = f"{house.home}/payments/{payment.reference}"
    await browser.opens(place)
    [offer] = browser.links("Mark as paid")
    await browser.opens(offer)
    await browser.presses("Mark as paid", seen="40,00", ref="")
    assert "Enter what the bank or provider calls this money." in browser.text
    await browser.presses("Mark as paid", seen="40,00", ref="TED-1", reason="seen on the statement")

    assert (await house.shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert "The money is there and in the books." in browser.text
    assert browser.links("Mark as paid") == []
    await browser.opens(offer)
    await browser.presses("Mark as paid", seen="40.00", ref="TED-2")
    assert "The payment is completed and cannot be marked as paid." in browser.text


async def test_marking_as_paid_asks_for_the_password_again(house: House) -> None:
    payment = await house.shop.orders()
    browser = await house.browser()
    house.shop.clock.advance(11 * MINUTE)
    await browser.opens(f"{house.home}/payments/{payment.reference}/mark-paid")
    assert "/account/confirm" in str(browser.page.url)


@pytest.mark.parametrize(
    ("language", "button", "refusal"),
    [
        ("en", "Mark as paid", "The provider's number has at most 100 characters."),
        ("pt-BR", "Marcar como pago", "O número no provedor tem no máximo 100 caracteres."),
        ("es", "Marcar como pagado", "El número del proveedor tiene como máximo 100 caracteres."),
    ],
)
async def test_a_number_that_is_too_long_is_refused_and_not_cut(
    house: House, language: str, button: str, refusal: str
) -> None:
    payment = await house.shop.orders("40.00")
    browser = await house.browser(**{"accept-language": language})
    await browser.opens(f"{house.home}/payments/{payment.reference}/mark-paid")

    assert 'name="ref" type="text" value="" autocomplete="off" maxlength="2048"' in browser.page.text
    await browser.presses(button, seen="40.00", ref="7" * 101)
    assert browser.page.status_code == 422
    assert refusal in browser.text
    await browser.presses(button, seen="40.00", ref="7" * 100)
    assert (await house.shop.reads(payment)).status is PaymentStatus.COMPLETED


async def test_the_queue_has_pages_and_a_decision_leads_back_to_its_own(house: House) -> None:
    now = house.shop.clock.now()

    def wait(tx: Tx) -> None:
        for number in range(PAGE + 2):
            subject = f"bank_line {number}"
            call_person(tx, house.shop.merchant.owner, "bank_line", subject, Reason.MATCH_EXTRA, {}, now=now)

    await house.shop.db.write(wait)
    queue = await opens_queue(house)
    assert queue.text.count("The bank lists a movement that is not in the books") == PAGE
    [newer] = queue.links("Newer")
    assert queue.links("From the beginning") == []
    await queue.opens(newer)
    [beginning] = queue.links("From the beginning")
    await queue.opens(beginning)
    assert queue.links("Newer") == [newer]
    await queue.opens(newer)
    assert queue.text.count("The bank lists a movement that is not in the books") == 2
    assert queue.links("Newer") == []

    for _ in range(2):
        await queue.presses("Take it")
        assert "after=" in str(queue.page.url)
        await queue.presses("settle", reason="looked at")
    assert queue.page.url.path == f"{house.home}/reviews"
    assert "after=" not in str(queue.page.url)  # nothing is left there, so the queue begins anew
    assert "Take it" in queue.text


async def test_who_decides_may_cancel_a_payment_that_waits_for_a_decision(house: House) -> None:
    reference, _ = await submitted(house)
    browser = await house.browser()
    await browser.opens(f"{house.home}/payments/{reference}")
    await browser.presses("Cancel", reason="the payer asked")

    db = house.shop.db
    [payment] = await db.read(lambda tx: tx.all("select status from payment where reference = :name", name=reference))
    assert payment["status"] == "cancelled"
    assert await db.read(lambda tx: tx.all("select id from review_item where resolved_at is null")) == []
    [entry] = await db.read(lambda tx: tx.all("select actor, reason from audit_entry where action = 'payment.cancel'"))
    assert (entry["actor"], entry["reason"]) == ("operator:1", "the payer asked")


async def test_a_payment_under_review_is_not_cancelled_by_who_may_not_decide_or_while_another_decides(
    house: House,
) -> None:
    reference, _ = await submitted(house)
    await house.joins("bia@loja.example", "support")
    page = await (await house.browser("bia@loja.example")).opens(f"{house.home}/payments/{reference}")
    assert not [form for form in page.forms if form.action.endswith("/cancellation")]

    ana = await (await house.browser()).opens(f"{house.home}/payments/{reference}")
    await house.shop.db.write(lambda tx: tx.run("update review_item set claimed_by = 'Bia' where resolved_at is null"))
    await ana.presses("Cancel")
    assert "Bia has claimed this." in ana.text


@pytest.mark.parametrize("deed", ["reject", "reject-for-good", "Return it to the payer"])
async def test_before_money_is_turned_down_the_gateway_of_an_unknown_try_is_asked_and_paid_wins(
    house: House, deed: str
) -> None:
    shop = house.shop
    payment = await shop.orders("20.00")
    for outcome in ("declined", "pending"):  # the provider takes five seconds for the second
        await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
        await flow.submit(shop.deps.tools, payment.token, {"outcome": outcome})
    await shop.db.write(lambda tx: comes_short(tx, shop, payment))
    queue = await opens_queue(house)
    await queue.presses("Take it")

    shop.clock.advance(6 * SECOND)
    await queue.presses(deed, **({} if deed.startswith("Return") else {"reason": ""}))

    paid = await shop.reads(payment)
    assert (paid.status, paid.late) == (PaymentStatus.COMPLETED, False)
    assert "Take it" not in queue.text


async def test_who_rejects_for_good_has_the_bank_remove_the_code(house: House) -> None:
    payment = await submitted_with_a_code(house.shop)
    queue = await opens_queue(house)
    await queue.presses("Take it")

    await queue.presses("Reject for good", because="not_found", reason="")

    assert (await house.shop.reads(payment)).status is PaymentStatus.FAILED
    assert await state_of_code(house.shop, payment) is State.CANCELLED


async def test_before_a_payment_is_marked_as_paid_the_gateway_of_an_unknown_try_is_asked_and_paid_wins(
    house: House,
) -> None:
    shop = house.shop
    payment = await shop.orders("20.00")
    await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
    await flow.submit(shop.deps.tools, payment.token, {"outcome": "pending"})  # the provider takes five seconds
    browser = await house.browser()
    await browser.opens(f"{house.home}/payments/{payment.reference}/mark-paid")

    shop.clock.advance(6 * SECOND)
    await browser.presses("Mark as paid", seen="20.00", ref="TED-1", reason="seen on the statement")

    assert browser.page.status_code == 409
    paid = await shop.reads(payment)
    assert (paid.status, paid.by_hand) == (PaymentStatus.COMPLETED, False)


def comes_short(tx: Tx, shop: Shop, payment: Payment) -> None:
    """Let the gateway say that the declined try brought money after all, and less than was asked."""
    [first, _] = tx.all("select * from gateway_session where payment_id = :id order by id", id=payment.id)
    session = sessions.as_session(first)
    verdict = PaidVerdict("short", Money(payment.amount.units - 100, payment.amount.currency))
    service.conclude(tx, session, verdict, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
