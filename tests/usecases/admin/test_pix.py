"""PIX in the panel: payouts with a second person, contests with a deadline, limits that hold at once."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.pix.payouts import service as payouts
from opentill.pix.policy import policy_of
from tests.usecases.admin.house import E2E, MED, House, open_house
from tests.usecases.checkout.shop import Browser


async def state_of(house: House, payout_id: str) -> str:
    payout = await house.shop.db.read(lambda tx: payouts.find(tx, payout_id, owner=house.shop.merchant.owner))
    assert payout is not None
    return payout.state.value


async def asks(browser: Browser, house: House, recipient: str = "bia@example.com", amount: str = "2.00") -> str:
    """Ask for a payout; return its id, or nothing where that was refused."""
    await browser.opens(f"{house.home}/payouts/new")
    await browser.presses("Send the money", recipient=recipient, amount=amount)
    return browser.page.url.path.rpartition("/")[2] if browser.page.status_code == 200 else ""


async def test_who_asked_for_a_payout_cannot_approve_it_and_somebody_else_can(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    await house.joins("bia@loja.example", "finance")
    ana, bia = await house.browser(), await house.browser("bia@loja.example")
    payout_id = await asks(ana, house)
    assert "Let it go" not in ana.page.text
    await bia.opens(f"{house.home}/payouts/{payout_id}")
    [form] = [each for each in bia.forms if each.action.endswith("/approve")]

    own = await house.browser()
    await own.opens(f"{house.home}/payouts/{house.names['payout']}")
    [theirs] = [each for each in own.forms if each.action.endswith("/approve")]
    crossed = await own.client.post(form.action, data=theirs.fields)
    assert crossed.status_code == 409, "a form of one payout approves no other"
    assert await state_of(house, payout_id) == "pending_approval"

    await bia.presses("Let it go")
    assert await state_of(house, payout_id) == "accepted"
    [row] = await database.read(
        lambda tx: tx.all("select created_by, decided_by from pix_payout where id = :id", id=payout_id)
    )
    assert (row["created_by"], row["decided_by"]) == ("operator:1", "operator:2")


async def test_a_stopped_payout_gives_the_money_back_and_says_why(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/payouts/{house.names['payout']}")
    await browser.presses("Stop this payout", reason="unknown supplier")
    assert await state_of(house, house.names["payout"]) == "failed"
    assert "unknown supplier" in browser.text
    assert "payout.released" in browser.text


@pytest.mark.parametrize(
    ("recipient", "amount", "says"),
    [
        ("nobody", "1.00", "Enter a PIX key or a copy-and-paste code."),
        ("bia@example.com", "", "Enter an amount."),
        ("bia@example.com", "-1", "Enter a plain amount"),
        ("bia@example.com", "99999.00", "Insufficient balance"),
        ("000201 not a code", "1.00", "Invalid PIX code"),
    ],
)
async def test_a_payout_that_cannot_be_is_refused_in_words_and_nothing_is_held(
    database: Database, tmp_path: Path, recipient: str, amount: str, says: str
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    assert await asks(browser, house, recipient, amount) == ""
    assert browser.page.status_code == 422
    assert says in browser.text
    rows = await database.read(lambda tx: tx.all("select id from pix_payout"))
    assert len(rows) == 1, "only the one of the house"


async def test_limits_hold_for_the_next_payout(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/policy")
    await browser.presses("Save", payout_max="1,50", charge_min="10", charge_max="5")
    assert "The largest amount is below the smallest." in browser.text
    await browser.presses("Save", payout_max="1,50", charge_min="", charge_max="")
    policy = await database.read(lambda tx: policy_of(tx, owner=house.shop.merchant.owner))
    assert (policy.payout_max_units, policy.payouts, policy.approve_from_units) == (15_000, True, 100)
    await browser.opens(f"{house.home}/policy")
    assert 'value="1.50"' in browser.page.text

    assert await asks(browser, house) == ""
    assert "Transaction limit exceeded" in browser.text


async def test_a_contest_is_defended_once_before_its_deadline(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/infractions")
    assert "To be defended" in browser.text
    await browser.opens(f"{house.home}/infractions/{MED}")
    await browser.presses("Hand the defence in", defense="")
    assert browser.page.status_code == 422
    await browser.presses("Hand the defence in", defense="Sent.", url0="https://shop.example/proof", about0="a receipt")
    assert "Your defence was handed on." in browser.text
    assert "https://shop.example/proof" in browser.text
    assert "Hand the defence in" not in browser.page.text


async def test_search_finds_a_payout_a_contest_and_an_end_to_end_id(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    payout_id = house.names["payout"]
    payout = await database.read(lambda tx: payouts.find(tx, payout_id, owner=house.shop.merchant.owner))
    assert payout is not None
    for wanted, place in (
        (payout_id, f"/payouts/{payout_id}"),
        (payout.end_to_end_id, f"/payouts/{payout_id}"),
        (MED, f"/infractions/{MED}"),
    ):
        await browser.opens(f"{house.home}/search?q={wanted}")
        assert browser.page.url.path == house.home + place
    await browser.opens(f"{house.home}/search?q={E2E}")
    assert browser.page.url.path.startswith(f"{house.home}/payments/")
    assert E2E in browser.text
