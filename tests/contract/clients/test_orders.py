"""What becomes of an order of the WooCommerce plugin: paid, failed, cancelled, converted, refunded in part."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from opentill.checkout.handlers import create_checkout_app
from opentill.checkout.rules import REDIRECT
from opentill.db import Database, Tx
from opentill.kernel.secret import Secret
from opentill.merchants import brands, options
from opentill.merchants import service as merchants
from opentill.payments import conversion, flow
from opentill.webhooks import planning
from opentill.webhooks.signing import body_hex
from tests.contract.api.house import PUBLIC_URL, House, open_house
from tests.contract.clients.woocommerce import Order, WooCommerce
from tests.usecases.checkout.shop import Browser

pytestmark = [pytest.mark.anyio, pytest.mark.bar("C16")]

SENT_TO_CALLBACKS = """
select d.id, d.wire_type, p.body
  from webhook_delivery d
  join webhook_payload p on p.event_seq = d.event_seq and p.variant = d.variant
 where d.target_url = 'https://shop.example/wc-api/ownpay_webhook/' and d.id > :after
 order by d.id
"""


class Till:
    """A shop whose orders are paid at the checkout, and which hears what is sent to its callback address."""

    def __init__(self, house: House, secret: Secret) -> None:
        async def transport(method: str, target: str, sent: Any, body: bytes) -> Any:
            return await house.merchant(method, target, key=None, headers=sent, body=body)

        self.house, self.tools, self.secret = house, house.dependencies.tools, secret
        self.woo = WooCommerce(transport, house.shop.key, secret=secret.reveal())
        self._heard = 0

    async def places(self, order: Order) -> str:
        """Place an order and return the token of its checkout."""
        sent_to = await self.woo.places(order)
        assert sent_to is not None
        return sent_to.rpartition("/")[2]

    async def pays(self, token: str, outcome: str) -> None:
        await flow.choose_gateway(self.tools, token, "sandbox")
        await flow.submit(self.tools, token, {"outcome": outcome})

    async def hears(self) -> list[dict[str, Any]]:
        """Hand the shop every webhook it has not had; return their bodies."""
        scene, now = self.house.scene, self.house.clock.now()
        await self.house.db.write(lambda tx: planning.plan(tx, ids=scene.ids, keyring=scene.keyring, now=now))
        rows = await self.house.db.read(lambda tx: tx.all(SENT_TO_CALLBACKS, after=self._heard))
        told = []
        for row in rows:
            self._heard, body = row["id"], bytes(row["body"])
            assert self.woo.receive({"X-Signature": f"sha256={body_hex(self.secret, body)}"}, body) == 200
            told.append(json.loads(body))
        return told


@pytest.fixture
async def till(database: Database, tmp_path: Path) -> Till:
    house = await open_house(database, tmp_path)
    merchant, keyring = house.shop.merchant, house.scene.keyring
    secret = await database.read(lambda tx: merchants.default_secret(tx, merchant, keyring=keyring))
    return Till(house, secret)


@pytest.mark.checklist("M38")
async def test_a_converted_payment_is_told_and_read_in_the_currency_of_the_order(till: Till) -> None:
    def takes_taka_only(tx: Tx) -> None:
        tx.run("update merchant_gateway set currency = 'BDT'")
        conversion.set_rate(tx, "USD", "BDT", "110.25", source="feed", now=till.house.clock.now())

    await till.house.db.write(takes_taka_only)
    looked, told = Order(1, "100.00", "USD"), Order(2, "100.00", "USD")
    for order in (looked, told):
        await till.pays(await till.places(order), "paid")

    assert (await till.woo.thanks(looked), looked.note) == ("paid", "")
    heard = [body for body in await till.hears() if body["order_id"] == "2"]
    assert (told.status, told.note) == ("paid", "")
    assert {(body["amount"], body["currency"]) for body in heard} == {("100.00", "USD")}
    assert (heard[-1]["charge"]["amount"], heard[-1]["charge"]["currency"]) == ("11025.00", "BDT")


@pytest.mark.checklist("M39")
async def test_a_failed_and_a_cancelled_payment_move_the_order(till: Till) -> None:
    owner = till.house.shop.merchant.owner
    await till.house.db.write(lambda tx: options.change(tx, {"fail_on_decline": True}, owner=owner))
    failed, cancelled = Order(1, "10.00", "BRL"), Order(2, "10.00", "BRL")

    await till.pays(await till.places(failed), "declined")
    await flow.cancel(till.tools, await till.places(cancelled))
    await till.hears()

    assert (failed.status, cancelled.status) == ("failed", "cancelled")


@pytest.mark.checklist("M39")
async def test_declined_tries_that_end_in_success_never_mark_the_order_failed(till: Till) -> None:
    order = Order(1, "10.00", "BRL")
    token = await till.places(order)

    for _ in range(3):
        await till.pays(token, "declined")
        heard = await till.hears()
        assert {body["event"] for body in heard} == {"payment.processing"}
        assert order.status == "pending"
    await till.pays(token, "paid")

    assert [body["event"] for body in await till.hears()] == ["payment.processing", "payment.completed"]
    assert order.status == "paid"


@pytest.mark.checklist("M40")
async def test_a_partial_refund_leaves_the_order_paid_and_is_not_told_to_the_callback(till: Till) -> None:
    order = Order(1, "10.00", "BRL")
    await till.pays(await till.places(order), "paid")
    await till.hears()

    refunded = await till.house.merchant("POST", "/refunds", {"transaction_id": order.payment_id, "amount": "4.00"})

    assert (refunded.status, refunded.json()["data"]["status"]) == (201, "completed")
    assert await till.hears() == []
    assert (order.status, await till.woo.thanks(order), order.note) == ("paid", "paid", "")


@pytest.mark.checklist("M41")
async def test_the_thank_you_page_finds_the_payment_completed_in_the_instant_of_the_redirect(till: Till) -> None:
    owner, deps = till.house.shop.merchant.owner, till.house.dependencies
    await till.house.db.write(
        lambda tx: brands.set_brand(tx, replace(brands.brand_of(tx, owner), after_payment=REDIRECT), owner=owner)
    )
    app = Starlette(routes=[Mount("/checkout", create_checkout_app(deps))])
    browser = Browser(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL))
    order = Order(1, "10.00", "BRL")
    await browser.opens(f"/checkout/{await till.places(order)}")
    await browser.presses("sandbox")

    answer = await browser.presses("paid", follow=False)
    while answer.headers["location"].startswith("/"):
        answer = await browser.client.get(answer.headers["location"])

    assert answer.headers["location"].startswith("https://shop.example/checkout/order-received/1/?key=wc_order_x&")
    assert answer.headers["location"].endswith("&status=completed")
    assert await till.woo.thanks(order) == "paid"
