"""The requested amount is what every surface shows, whatever the gateway charged (merchant-api.md §6.2, M53)."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from babel import Locale

from opentill.api.merchant.app import MerchantApi
from opentill.db import Database
from opentill.kernel.money import currency, from_minor, parse, render
from opentill.payments import conversion, flow
from opentill.web import formats
from opentill.webhooks.bodies import merchant as bodies
from opentill.webhooks.model import AmountFormat
from tests.contract.api.client import Response, ask
from tests.usecases.admin.house import House, open_house
from tests.usecases.test_paths import recorded

AMOUNTS = {"JPY": "1500", "USD": "99.90", "KWD": "1.250", "CLF": "0.1234"}
RATE = "110.25"  # taka for one of each


class Merchant:
    """A merchant who calls the API of a house."""

    def __init__(self, house: House, key: str) -> None:
        self.api, self.key = MerchantApi(house.shop.deps), key

    async def calls(self, method: str, target: str, fields: dict[str, Any] | None = None) -> Response:
        body = b"" if fields is None else json.dumps(fields).encode()
        return await ask(self.api, method, target, headers={"authorization": f"Bearer {self.key}"}, body=body)

    async def reads(self, target: str) -> dict[str, Any]:
        data: dict[str, Any] = (await self.calls("GET", target)).json()["data"]
        return data


@pytest.mark.checklist("M53")
@pytest.mark.parametrize("converted", [False, True], ids=["as asked", "converted"])
@pytest.mark.parametrize(("code", "amount"), AMOUNTS.items(), ids=list(AMOUNTS))
async def test_the_requested_amount_is_the_same_everywhere(
    database: Database, tmp_path: Path, code: str, amount: str, converted: bool
) -> None:
    house = await open_house(database, tmp_path)
    shop, now = house.shop, house.shop.clock.now()
    merchant = Merchant(house, (await database.write(lambda tx: shop.scene.api_key(tx, shop.merchant))).reveal())
    if converted:
        await database.write(lambda tx: tx.run("update merchant_gateway set currency = 'BDT' where slug = 'sandbox'"))
        await database.write(lambda tx: conversion.set_rate(tx, code, "BDT", RATE, source="feed", now=now))
    asked = {"amount": amount, "currency": code, "reference": "R-53", "redirect_url": "https://shop.example/back"}

    made = (await merchant.calls("POST", "/payments", asked)).json()["data"]
    page = (await shop.browser(**{"accept-language": "en"}).opens(f"/checkout/{made['token']}")).text
    await flow.choose_gateway(shop.deps.tools, made["token"], "sandbox")
    chosen = (await shop.browser(**{"accept-language": "en"}).opens(f"/checkout/{made['token']}")).text
    await flow.submit(shop.deps.tools, made["token"], {"outcome": "paid"})
    receipt = (await shop.browser(**{"accept-language": "en"}).opens(f"/checkout/{made['token']}?stay")).text

    shown = await merchant.reads(f"/payments/{made['payment_id']}")
    listed = (await merchant.calls("GET", "/payments?reference=R-53")).json()["data"]
    intent = await merchant.reads(f"/payment-intents/{made['trx_id']}")
    transaction = await merchant.reads(f"/transactions/{made['trx_id']}")
    for surface in (made, shown, *listed, intent, transaction):
        assert (surface["amount"], surface["currency"]) == (amount, code)
    assert (shown["status"], len(listed)) == ("completed", 1)
    charged = parse(amount, currency(code)).at(RATE, currency("BDT"))
    assert (shown["charge"] is not None) is converted
    if converted:
        assert (shown["charge"]["currency"], parse(shown["charge"]["amount"], currency("BDT"))) == ("BDT", charged)

    figure = formats.money(parse(amount, currency(code)), Locale("en"))
    for text in (page, chosen, receipt):
        assert figure in text
    told = [event for event in await recorded(database, shop.merchant.owner) if event.object_id == made["payment_id"]]
    assert {event.type for event in told} == {"payment.pending", "payment.processing", "payment.completed"}
    for event in told:
        body = json.loads(bodies.render(event, AmountFormat.STRING))
        assert (body["amount"], body["currency"]) == (amount, code)
        assert (body["data"]["amount"], body["data"]["currency"]) == (amount, code)

    browser = await house.browser()
    sheet = await browser.client.get(f"{house.home}/payments.csv?order=R-53")
    [line] = csv.DictReader(io.StringIO(sheet.text))
    assert (line["amount"], line["currency"], line["transaction_id"]) == (amount, code, made["trx_id"])
    assert (line["charge_currency"] == "BDT") is converted

    await require_refunds_up_to(merchant, made["trx_id"], amount, code)


async def require_refunds_up_to(merchant: Merchant, trx_id: str, amount: str, code: str) -> None:
    """Refund one smallest unit, then too much by one, then exactly the rest: all in the requested currency."""
    smallest = render(from_minor(1, currency(code)))
    first = await merchant.calls("POST", "/refunds", {"transaction_id": trx_id, "amount": smallest})
    too_much = await merchant.calls("POST", "/refunds", {"transaction_id": trx_id, "amount": amount})
    rest = (await merchant.calls("POST", "/refunds", {"transaction_id": trx_id})).json()["data"]

    assert (first.status, first.json()["data"]["amount"], first.json()["data"]["currency"]) == (201, smallest, code)
    assert (too_much.status, too_much.json()["code"]) == (400, "INVALID_REFUND_PARAMETERS")
    returned = parse(smallest, currency(code)) + parse(rest["amount"], currency(code))
    assert returned == parse(amount, currency(code))
    shown = await merchant.reads(f"/payments/{trx_id}")
    assert (shown["amount"], shown["amount_refunded"], shown["refund_status"]) == (amount, amount, "full")


async def test_a_sheet_of_payments_holds_every_page_and_no_formula(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    furnished = (await database.read(lambda tx: tx.all("select count(*) as n from payment")))[0]["n"]
    for number in range(3):
        await house.shop.orders("10.00", order_id=f"=cmd({number})")
    browser = await house.browser()

    everything = list(csv.DictReader(io.StringIO((await browser.client.get(f"{house.home}/payments.csv")).text)))
    pending = await browser.client.get(f"{house.home}/payments.csv?status=pending")

    assert [line["order_id"] for line in everything][:3] == ["'=cmd(2)", "'=cmd(1)", "'=cmd(0)"]
    assert len(everything) == furnished + 3
    assert [line["status"] for line in csv.DictReader(io.StringIO(pending.text))] == ["pending"] * 3
