"""The panel's screens: what they show, and that what they show is true."""

import asyncio
import csv
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from opentill.db import Database, Overloaded, Row, Tx, Unavailable
from opentill.kernel.clock import DAY, MINUTE, SECOND
from opentill.ledger import explorer
from opentill.operators import people
from opentill.payments.exports.model import ExportState, Page
from opentill.payments.exports.sheets import SHEETS
from opentill.webhooks.queries import published_keys
from opentill.workers.exports import write_page
from opentill.workers.retain import retain
from tests.usecases.admin.house import READS, open_house, pays
from tests.waiting import PATIENCE_S, Gate


async def test_every_screen_is_shown_empty_and_full_in_each_language(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    empty = await house.shop.db.write(lambda tx: house.shop.scene.merchant(tx, "Loja Vazia"))
    browser = await house.browser()
    for screen in READS:
        path = house.place(screen)
        if "{invoice}" in screen.path or "{dispute}" in screen.path:
            continue
        for language in ("en", "pt-BR", "es"):
            answer = await browser.client.get(path, params={"lang": language}, follow_redirects=True)
            assert answer.status_code == 200, path
    house.names["merchant"] = empty.slug
    for screen in READS:
        if screen.of_merchant and screen.path.count("{") == 1:
            assert (await browser.client.get(house.place(screen))).status_code == 200, screen.path


async def test_a_payment_leads_to_its_money_and_back(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/payments")
    [link] = browser.links(house.names["payment"])
    await browser.opens(link)
    assert "The money is there and in the books." in browser.text
    [journal] = {href for href in browser.links("payment.completed") if "/journals/" in href}
    await browser.opens(journal)
    [account] = browser.links("available")
    await browser.opens(account)
    back = [href for href in browser.links("Payment") if "/payments/" in href][-1]  # the oldest stands last
    await browser.opens(back)
    assert browser.heading.startswith("R$99.90")


async def test_addresses_for_payers_stand_at_the_host_that_a_merchant_has_of_its_own(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/links/new")
    await browser.presses("Make the link", title="Workshop", amount="50.00")
    await browser.opens(f"{house.home}/invoices/new")
    await browser.presses("Make the draft", customer="Ana", description0="Bread", quantity0="2", price0="9.90")
    pages = {
        f"{house.home}/links": "/pay/",
        browser.page.url.path: "Its page",
        f"{house.home}/payments/{house.names['payment']}": "Payment page",
    }

    async def hosts() -> set[str | None]:
        return {urlsplit((await browser.opens(page)).links(label)[0]).hostname for page, label in pages.items()}

    assert await hosts() == {"pay.example.com"}
    await database.write(lambda tx: tx.run("update merchant set primary_host = 'pay.padaria.example'"))
    assert await hosts() == {"pay.padaria.example"}


async def test_search_finds_by_whatever_name_somebody_has(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    payment = await pays(house.shop, order_id="PEDIDO-7")
    browser = await house.browser()
    for wanted in (payment.reference, payment.uuid, "PEDIDO-7", payment.gateway_ref or ""):
        await browser.opens(f"{house.home}/search?q={wanted}")
        assert browser.page.url.path.startswith(f"{house.home}/payments/"), wanted
    await browser.opens(f"{house.home}/search?q={house.names['event']}")
    assert browser.page.url.path == f"{house.home}/developers/events/{house.names['event']}"
    await browser.opens(f"{house.home}/search?q=nothing-like-it")
    assert "Nothing has exactly this name" in browser.text


async def test_an_export_adds_up_to_the_books(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/fees")
    await browser.presses("Let it hold", percent="0.33", currency="", gateway="")
    for cents in range(5):
        await pays(house.shop, amount=f"10.{cents}7", order_id="=1+1")
    answer = await browser.client.get(f"{house.home}/reports/ledger.csv")
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(io.StringIO(answer.text)):
        sums[row["account"], row["gateway"]] += Decimal(row["amount"])
    accounts = await database.read(lambda tx: explorer.accounts(tx, owner=house.shop.merchant.owner))
    books = {(row["kind"], row["gateway"]): Decimal(row["balance_units"]) / 10_000 for row in accounts}
    assert sums == books
    assert sum(books.values()) == 0


async def test_the_export_of_refunds_adds_up_to_the_ledger(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/fees")
    await browser.presses("Let it hold", percent="3.33", currency="", gateway="")
    payment = await pays(house.shop, amount="10.07", order_id="A-9")
    for amount, reason in (("1.01", "=1+1"), ("2.50", "broken")):
        await browser.opens(f"{house.home}/payments/{payment.reference}/refunds")
        await browser.presses("Give it back", amount=amount, reason=reason)

    await browser.opens(f"{house.home}/refunds")
    rows = list(csv.DictReader(io.StringIO((await browser.client.get(browser.links("CSV")[0])).text)))
    assert [(row["amount"], row["status"], row["reason"]) for row in rows] == [
        ("2.50", "completed", "broken"),
        ("1.01", "completed", "'=1+1"),
    ]
    assert all(Decimal(row["fee_returned"]) > 0 for row in rows)
    ledger = (await browser.client.get(f"{house.home}/reports/ledger.csv")).text
    booked = [
        Decimal(row["amount"])
        for row in csv.DictReader(io.StringIO(ledger))
        if row["source"] == "refund" and row["account"] in ("available", "held")
    ]
    assert sum(Decimal(row["fee_returned"]) - Decimal(row["charge_amount"]) for row in rows) == sum(booked)


async def test_a_long_export_is_written_while_its_page_is_left_and_fetched_when_it_is_done(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/exports")
    before = len(browser.links("CSV"))
    house.shop.clock.advance(SECOND)
    await browser.presses("Write it", sheet="ledger", since="2026-03-01", until="2026-03-31")
    assert "being written" in browser.text
    assert len(browser.links("CSV")) == before

    while await write_page(house.shop.deps):
        pass

    await browser.opens(f"{house.home}/exports")
    assert "being written" not in browser.text
    fetched = await browser.client.get(browser.links("CSV")[0])
    at_once = await browser.client.get(f"{house.home}/reports/ledger.csv?since=2026-03-01&until=2026-03-31")
    assert fetched.text == at_once.text
    assert len(fetched.text.splitlines()) > 5
    rows = await database.read(lambda tx: tx.all("select sealed from export_part"))
    assert not [row for row in rows if "payment.completed" in row["sealed"]]

    house.shop.clock.advance(8 * DAY)
    await retain(house.shop.deps, pause=asyncio.sleep)
    assert await database.read(lambda tx: tx.all("select id from export")) == []


async def test_an_export_that_cannot_be_written_steps_aside_and_is_asked_for_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error: Exception

    def breaks(*_: object) -> Page:
        raise error

    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/exports")
    before = len(browser.links("CSV"))
    house.shop.clock.advance(SECOND)
    await browser.presses("Write it", sheet="fees", since="2026-03-01", until="2026-03-02")
    house.shop.clock.advance(SECOND)
    await browser.presses("Write it", sheet="ledger", since="2026-03-01", until="2026-03-31")

    with monkeypatch.context() as broken:
        broken.setattr(
            "opentill.payments.exports.service.SHEETS", SHEETS | {"fees": replace(SHEETS["fees"], page=breaks)}
        )
        for error in (Unavailable("away"), Overloaded("busy")):  # no fault of the export
            with pytest.raises(type(error)):
                await write_page(house.shop.deps)
        assert {row["state"] for row in (await exports_of(database))[1:]} == {ExportState.WRITING}
        error = ArithmeticError("a page nobody can write")
        with capture_logs() as logged:
            while await write_page(house.shop.deps):
                pass

    [failed] = [row for row in await exports_of(database) if row["state"] == ExportState.FAILED]
    assert [line["export"] for line in logged if line["event"] == "export failed"] == [failed["id"]]
    assert (await browser.client.get(f"{house.home}/exports/{failed['id']}.csv")).status_code == 404
    for language, said in (("es", "no se pudo escribir"), ("pt-BR", "não pôde ser escrita"), ("en", failed["id"])):
        await browser.opens(f"{house.home}/exports?lang={language}")
        assert said in browser.text
    assert len(browser.links("CSV")) == before + 1

    house.shop.clock.advance(SECOND)
    await browser.presses("Ask again")
    assert await write_page(house.shop.deps)
    *_, again = await exports_of(database)
    assert (again["state"], again["sheet"], again["wanted"]) == (ExportState.DONE, "fees", failed["wanted"])


async def exports_of(database: Database) -> Sequence[Row]:
    return await database.read(lambda tx: tx.all("select id, state, sheet, wanted from export order by created_at, id"))


@pytest.mark.parametrize("name", SHEETS)
async def test_a_sheet_of_days_before_all_time_is_empty(database: Database, tmp_path: Path, name: str) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/exports")
    before = browser.links("CSV")
    house.shop.clock.advance(SECOND)
    await browser.presses("Write it", sheet=name, since="1969-12-01", until="1969-12-31")
    while await write_page(house.shop.deps):
        pass
    await browser.opens(f"{house.home}/exports")
    [made] = [link for link in browser.links("CSV") if link not in before]
    assert (await browser.client.get(made)).text.splitlines() == [",".join(SHEETS[name].head)]


async def test_a_role_starts_and_fetches_only_the_sheets_it_may_see(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    allowed, now = ("reports.view", "reports.manage"), house.shop.clock.now()
    role = await database.write(lambda tx: people.save_role(tx, "Reporter", allowed, slug=None, now=now))
    await house.joins("rita@loja.example", role)
    browser = await house.browser("rita@loja.example")
    await browser.opens(f"{house.home}/exports")
    await browser.presses("Write it", sheet="payments")
    assert "your role does not include: payments.view." in browser.text
    theirs = await browser.client.get(f"{house.home}/exports/{house.names['export']}.csv")
    assert theirs.status_code == 404
    await browser.presses("Write it", sheet="fees")
    assert "being written" in browser.text


async def test_the_bench_names_the_step_that_fails(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/developers/bench")
    await browser.presses("Check", headers="X-OwnPay-Signature: sha256=12", body="{}", secret="quatro-cavalos")
    assert "does not have its form" in browser.text
    assert "quatro-cavalos" not in browser.page.text


async def test_the_way_from_a_fresh_start_to_a_key_is_led(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens("/admin/merchants/new")
    await browser.presses("Make the merchant", name="Loja Nova")
    assert browser.heading == "New API key"
    await browser.presses("Generate key", label="Shop", scope="read")
    assert browser.heading == "Your API key"
    assert "op_" in browser.page.text
    await browser.opens(browser.links("I have stored it")[0])
    assert browser.heading == "Developer Hub"
    await browser.presses("Make it", amount="12.34")
    assert browser.heading.startswith("R$12.34")
    await browser.presses("Pay it")
    assert "completed" in browser.heading


@pytest.mark.checklist("M15")
async def test_a_key_is_made_by_label_and_shown_once_and_only_its_hash_is_kept(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/developers/keys/new")

    await browser.presses("Generate key", label="Till 7", scope="read")

    [key] = {*re.findall(r"\bop_[0-9a-f]{8}\.[0-9a-f]{48}\b", browser.page.text)}
    await browser.opens(f"{house.home}/developers/keys")
    assert "Till 7" in browser.text
    assert key[12:] not in browser.page.text
    [row] = await database.read(lambda tx: tx.all("select * from api_key where name = 'Till 7'"))
    assert (row["prefix"], row["key_hash"]) == (key[3:11], hashlib.sha256(key.encode()).hexdigest())
    assert not [value for value in dict(row).values() if key[12:] in str(value)]


async def test_signing_keys_are_followed_by_a_new_one_or_ended_at_once(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    merchant, clock = house.shop.merchant, house.shop.clock

    async def kids() -> list[str]:
        found = await database.read(lambda tx: published_keys(tx, merchant.uuid, merchant.mode, now=clock.now()))
        return [key.kid for key in found or []]

    browser = await house.browser()
    place = f"{house.home}/developers/signing-keys"
    await browser.opens(f"{house.home}/developers/endpoints")
    assert browser.links("Signing keys") == [place]
    await browser.opens(place)
    [old] = await kids()
    assert f"https://pay.example.com/.well-known/webhooks/{merchant.uuid}/jwks.json?mode=sandbox" in browser.text

    await browser.presses("Make a new key pair")
    assert (await kids())[0] == old
    for told in (*await kids(), "ends soon", "pending"):
        assert told in browser.text
    before = await kids()
    assert len(before) == 2
    assert "End every key listed" in browser.page.text
    await browser.presses("Replace all keys now")
    assert len(await kids()) == 1
    assert not set(await kids()) & set(before)

    clock.advance(11 * MINUTE)
    await browser.presses("Make a new key pair")
    assert "/account/confirm" in str(browser.page.url)
    assert len(await kids()) == 1


async def test_a_page_does_not_wait_until_it_is_noted_that_its_session_is_in_use(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    held, answered = Gate(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered.set()

        await house.shop.app(scope, receive, told)

    def hold(tx: Tx) -> None:
        tx.run("update operator_session set seen_at = 7")
        held.wait()

    writing = asyncio.create_task(database.write(hold))
    await held.reached()
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=browser.client.base_url, cookies=browser.client.cookies
    )
    asking = asyncio.create_task(client.get(f"{house.home}/gateways/manual"))
    try:
        await asyncio.wait_for(answered.wait(), PATIENCE_S / 2)
    finally:
        held.open()
    await writing

    assert (await asking).status_code == 200
    rows = await database.read(lambda tx: tx.all("select seen_at from operator_session"))
    assert [row["seen_at"] for row in rows] == [house.shop.clock.now()]
