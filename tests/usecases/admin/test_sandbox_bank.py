"""A developer plays the sandbox bank from the panel: payouts end and come back, payers contest, banks decide."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from opentill.admin.handlers import create_admin_app
from opentill.db import Database
from opentill.kernel.mode import Mode
from opentill.operators import sign_in
from opentill.operators.sign_in import Caller
from tests.contract.api.counter import Counter, open_counter
from tests.usecases.admin.house import COOKIE
from tests.usecases.checkout.shop import Browser
from tests.usecases.operators.people import add
from tests.usecases.pix.shop import PUBLIC_URL


@pytest.fixture
async def counter(database: Database, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(database, tmp_path) as counter:
        yield counter


@pytest.fixture
async def browser(counter: Counter) -> Browser:
    """The browser of Ana, who owns the installation."""
    shop, scene = counter.shop, counter.shop.scene
    opened = await shop.db.write(
        lambda tx: sign_in.open_first(
            tx,
            add(tx, scene),
            Caller("203.0.113.9", "Firefox"),
            ids=scene.ids,
            keyring=scene.keyring,
            now=scene.clock.now(),
        )
    )
    transport = httpx.ASGITransport(create_admin_app(shop.deps))
    client = httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL)
    client.cookies.set(COOKIE, opened.token.reveal(), path="/admin")
    return Browser(client)


async def test_a_payout_arrives_and_comes_back_or_fails_as_the_developer_says(
    counter: Counter, browser: Browser
) -> None:
    home = f"/admin/m/{counter.shop.merchant.slug}/payouts"
    await counter.fine("POST", "/sandbox/fund", {"amount": 10_000_000})
    asked = {"amount": 910_011, "pix_key": "fulano@example.com"}  # the bank works on it until somebody says more
    good, bad = [(await counter.fine("POST", "/pix/cash-out", asked))["transaction_id"] for _ in range(2)]
    await browser.opens(f"{home}/{good}")
    assert "Let it arrive" not in browser.text, "it has not reached the bank"
    await counter.goes_on()

    for payout_id, button, heading in (
        (good, "Let it arrive", "completed"),
        (good, "Have it come back", "came back"),
        (bad, "Let it fail", "failed"),
    ):
        await browser.opens(f"{home}/{payout_id}")
        await browser.presses(button)
        assert "The sandbox bank did it." in browser.text
        await counter.goes_on()
        await browser.opens(f"{home}/{payout_id}")
        assert browser.heading.endswith(heading), payout_id
    assert "AC03" in browser.text
    assert "play the bank" not in browser.text
    await counter.shop.books()


@pytest.mark.parametrize(
    ("button", "left"), [("Agree with the payer", 0), ("Disagree", 300_000), ("Take it back", 300_000)]
)
async def test_the_payer_contests_and_the_banks_decide_as_the_developer_says(
    counter: Counter, browser: Browser, button: str, left: int
) -> None:
    home = f"/admin/m/{counter.shop.merchant.slug}"
    payment = await counter.shop.orders()
    charge = await counter.shop.chooses_pix(payment)
    await counter.fine("POST", f"/sandbox/charges/{charge.id}/pay")
    await counter.goes_on()

    await browser.opens(f"{home}/payments/{payment.reference}")
    await browser.presses("have the payer contest it")
    [med, *_] = browser.links("MED2026")
    assert (await counter.balance())["available"] == 0
    await browser.opens(med)
    await browser.presses(button)
    assert "play the bank" not in browser.text
    await counter.catches_up()
    assert (await counter.balance())["balance"] == left


async def test_nothing_is_played_for_a_live_merchant(counter: Counter, browser: Browser) -> None:
    shop = counter.shop
    await shop.db.write(lambda tx: shop.scene.merchant(tx, "Loja Viva", mode=Mode.LIVE))
    await counter.fine("POST", "/sandbox/fund", {"amount": 10_000_000})
    payout = (await counter.fine("POST", "/pix/cash-out", {"amount": 910_011, "pix_key": "fulano@example.com"}))[
        "transaction_id"
    ]
    await counter.goes_on()
    await browser.opens(f"/admin/m/{shop.merchant.slug}/payouts/{payout}")
    [form] = {form.action: form for form in browser.forms if form.action.endswith("/sandbox")}.values()
    crossed = form.action.replace(shop.merchant.slug, "loja-viva")
    answer = await browser.client.post(crossed, data=form.fields | {"outcome": "completed"})
    assert answer.status_code in (404, 409)
    assert (await counter.fine("GET", f"/transactions/{payout}"))["data"]["status"] == "processing"
