"""The address an intent is answered with: what the payer sees there, and until when."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from opentill.checkout.handlers import create_checkout_app
from opentill.db import Tx
from opentill.kernel.clock import MINUTE, SECOND
from opentill.merchants import gateways
from opentill.payments import flow
from opentill.webhooks import planning
from tests.contract.api.house import INTENT, PAYMENT, PUBLIC_URL, House
from tests.usecases.checkout.shop import Browser

pytestmark = pytest.mark.anyio


def browser(house: House) -> Browser:
    app = Starlette(routes=[Mount("/checkout", create_checkout_app(house.dependencies))])
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=PUBLIC_URL, headers={"accept-language": "en"}
    )
    return Browser(client)


@pytest.mark.checklist("M2")
async def test_the_page_of_an_intent_shows_its_amount_and_the_named_gateway_only(house: House) -> None:
    def add_wallet(tx: Tx) -> None:
        owner, now = house.shop.merchant.owner, house.clock.now()
        gateways.save_manual(tx, "wallet", name="Wallet", settings={}, owner=owner, now=now)

    await house.db.write(add_wallet)
    intent = (await house.merchant("POST", "/payment-intents", INTENT)).json()
    free = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]

    page = await browser(house).opens(intent["payment_url"])
    other = await browser(house).opens(free["checkout_url"])

    assert "$99.99" in page.text
    assert [button[1] for form in page.forms for button in form.buttons if button[0] == "gateway"] == ["sandbox"]
    assert "Wallet" not in page.text
    assert "Wallet" in other.text, "where no gateway is named, both are shown"


@pytest.mark.checklist("M13")
async def test_the_address_stops_working_when_the_intent_expires_and_that_is_told_once(house: House) -> None:
    sent = {**INTENT, "callback_url": "https://shop.example/hook"}
    intent = (await house.merchant("POST", "/payment-intents", sent)).json()
    page = await browser(house).opens(intent["payment_url"])
    assert page.forms

    house.clock.advance(30 * MINUTE - SECOND)
    assert (await page.opens(intent["payment_url"])).forms
    house.clock.advance(SECOND)
    await page.opens(intent["payment_url"])
    read = (await house.merchant("GET", f"/payments/{intent['transaction_id']}")).json()["data"]
    for _ in range(2):
        await flow.expire_due(house.dependencies.tools)
        await house.db.write(
            lambda tx: planning.plan(tx, ids=house.scene.ids, keyring=house.scene.keyring, now=house.clock.now())
        )

    assert (page.heading, page.forms) == ("The time for this payment is over", [])
    assert read["status"] == "expired"
    told = await house.db.read(lambda tx: tx.all("select wire_type from webhook_delivery order by id"))
    assert [row["wire_type"] for row in told] == ["payment.expired"]
