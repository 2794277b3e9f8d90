"""Who is written to about reviews that wait, keys that end and invoices that were sent (merchant-api.md §9.9, §13)."""

import json
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, Instant
from opentill.merchants.model import KEY_EXPIRING
from opentill.operators.reasons import Reason
from opentill.payments.review import queue
from opentill.workers.remind import SLOT, remind
from tests.usecases.admin.house import House, open_house, pays


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    house = await open_house(database, tmp_path)
    house.shop.clock.advance(3 * HOUR)  # what the house came with is old
    house.shop.clock.advance(SLOT - house.shop.clock.now() % SLOT + MINUTE)
    await database.write(lambda tx: tx.run("update api_key set expires_at = null"))
    return house


async def letters(house: House, kind: str) -> list[dict[str, Any]]:
    keyring = house.shop.scene.keyring
    rows = await house.shop.db.read(lambda tx: tx.all("select * from mail where kind = :kind order by id", kind=kind))
    return [{**row, **json.loads(keyring.open(row["sealed"], f"mail.sealed/{row['public_id']}"))} for row in rows]


async def reviews(house: House, *names: str) -> None:
    for name in names:
        payment = await pays(house.shop, order_id=name)
        now = house.shop.clock.now()

        def put(tx: Tx, payment: Any = payment, now: Instant = now) -> None:
            queue.open_item(tx, payment, Reason.AMOUNT_DIFFERS, receipt_id=None, now=now)

        await house.shop.db.write(put)


async def test_new_items_of_a_quarter_of_an_hour_are_one_letter_to_each_who_may_decide(house: House) -> None:
    await house.joins("bia@loja.example", "finance", house.shop.merchant)
    await house.joins("dev@loja.example", "developer", house.shop.merchant)
    deps = house.shop.deps
    await reviews(house, "one", "two")
    await remind(deps)
    assert await letters(house, "review-items") == []
    house.shop.clock.advance(SLOT)
    await remind(deps)
    await remind(deps)
    (letter,) = await letters(house, "review-items")
    assert (letter["to"], letter["facts"]["count"]) == ("bia@loja.example", 2)
    assert letter["facts"]["page"] == f"{house.home}/reviews"

    await reviews(house, "three")
    house.shop.clock.advance(SLOT)
    await remind(deps)
    assert [one["facts"]["count"] for one in await letters(house, "review-items")] == [2, 1]


async def test_what_waits_for_a_day_is_told_of_once_more(house: House) -> None:
    await reviews(house, "one")
    house.shop.clock.advance(SLOT)
    await remind(house.shop.deps)
    assert await letters(house, "review-waiting") == []
    house.shop.clock.advance(DAY)
    await remind(house.shop.deps)
    await remind(house.shop.deps)
    (letter,) = await letters(house, "review-waiting")
    assert letter["facts"]["count"] == 1


async def test_what_was_decided_meanwhile_is_not_told(house: House) -> None:
    await reviews(house, "one")
    await house.shop.db.write(lambda tx: tx.run("update review_item set resolved_at = created_at"))
    house.shop.clock.advance(SLOT)
    await remind(house.shop.deps)
    assert await letters(house, "review-items") == []


async def test_a_key_that_ends_within_two_weeks_is_told_of_once(house: House) -> None:
    deps, clock = house.shop.deps, house.shop.clock
    ends = Instant(clock.now() + KEY_EXPIRING + DAY)
    await house.shop.db.write(lambda tx: tx.run("update api_key set expires_at = :ends where id = 1", ends=ends))
    await remind(deps)
    assert await letters(house, "key-ending") == []
    for _ in range(3):
        clock.advance(DAY)
        await remind(deps)
    (letter,) = await letters(house, "key-ending")
    assert letter["to"] == "ana@loja.example"
    assert letter["until_at"] == letter["facts"]["until"] == ends
    assert letter["facts"]["page"] == f"{house.home}/developers/keys/1"
    page = await (await house.browser()).opens(letter["facts"]["page"])
    assert page.page.status_code == 200


async def test_a_pix_credential_that_ends_within_two_weeks_is_told_of_once(house: House) -> None:
    deps, clock = house.shop.deps, house.shop.clock
    page = await (await house.browser()).opens(f"{house.home}/developers/credentials/new")
    await page.presses("Make the credential", label="ERP", expiry="30", permission="payment:read")
    ends = Instant(clock.now() + 30 * DAY)
    clock.advance(15 * DAY)
    await remind(deps)
    assert await letters(house, "credential-ending") == []
    for _ in range(3):
        clock.advance(DAY)
        await remind(deps)
    (letter,) = await letters(house, "credential-ending")
    assert letter["to"] == "ana@loja.example"
    assert letter["until_at"] == letter["facts"]["until"] == ends
    assert letter["facts"]["page"].endswith(f"/developers/credentials/{letter['facts']['client_id']}")
    page = await (await house.browser()).opens(letter["facts"]["page"])
    assert (page.page.status_code, "ERP" in page.text) == (200, True)


@pytest.mark.parametrize("change", ["status = 'revoked'", "replaced_by = id"])
async def test_a_key_out_of_service_or_with_a_successor_is_not_told_of(house: House, change: str) -> None:
    ends = Instant(house.shop.clock.now() + DAY)
    await house.shop.db.write(lambda tx: tx.run(f"update api_key set expires_at = :ends, {change}", ends=ends))
    await remind(house.shop.deps)
    assert await letters(house, "key-ending") == []


async def test_an_invoice_that_is_sent_in_the_panel_brings_its_link_to_the_customer_once(house: House) -> None:
    page = await (await house.browser()).opens(f"{house.home}/invoices/new")
    made = {"customer": "Bia", "email": "bia@casa.example", "description0": "Bolo", "quantity0": "2", "price0": "10.00"}
    await page.presses("Make the draft", **made)
    assert await letters(house, "invoice") == []
    await page.presses("Let it be paid")
    (letter,) = await letters(house, "invoice")
    assert letter["to"] == "bia@casa.example"
    assert "/invoice/" in letter["facts"]["link"]
    assert (letter["facts"]["units"], letter["facts"]["currency"]) == (200_000, "BRL")


async def test_an_invoice_is_told_of_in_the_language_of_the_people_of_its_merchant(house: House) -> None:
    await house.joins("rui@loja.example", "support", house.shop.merchant)
    for name, language in (("ana", "es"), ("rui", "pt-BR")):
        spoken = {"email": f"{name}@loja.example", "language": language}
        await house.shop.db.write(
            lambda tx, spoken=spoken: tx.run("update operator set language = :language where email = :email", **spoken)
        )
    page = await (await house.browser()).opens(f"{house.home}/invoices/new")
    await page.presses(
        "Make the draft", customer="Bia", email="bia@casa.example", description0="Bolo", quantity0="2", price0="10.00"
    )
    await page.presses("Let it be paid")

    (letter,) = await letters(house, "invoice")
    assert letter["language"] == "pt-BR"
