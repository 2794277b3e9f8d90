"""A merchant's options as its API shows them, and its gateways (merchant-api.md §3.3, §9.2, §9.11)."""

import pytest

from opentill.kernel.errors import Invalid
from opentill.merchants import gateways, options
from tests.contract.api.house import House

pytestmark = pytest.mark.anyio


async def chooses(house: House, **changes: object) -> None:
    owner = house.shop.merchant.owner
    await house.db.write(lambda tx: options.change(tx, changes, owner=owner))
    house.next_second()


async def test_active_gateways_are_listed_with_what_they_can(house: House) -> None:
    owner, now = house.shop.merchant.owner, house.clock.now()
    await house.db.write(
        lambda tx: gateways.save_manual(
            tx, "wallet", name="Wallet", settings={}, owner=owner, currency="JPY", min_units=50_000, position=1, now=now
        )
    )

    listed = (await house.merchant("GET", "/gateways")).json()["data"]

    card, wallet = (gateway for gateway in listed if gateway["slug"] in ("sandbox", "wallet"))
    assert (card["type"], card["currencies"], card["min_amount"], card["sandbox"]) == ("api", None, None, True)
    assert {"refund", "partial_refund"} <= set(card["capabilities"])
    assert (wallet["type"], wallet["currencies"], wallet["min_amount"]) == ("manual", ["JPY"], "500")
    others = (await house.merchant("GET", "/gateways", key=house.other.key)).json()["data"]
    assert "wallet" not in {gateway["slug"] for gateway in others}


async def test_lenient_intents_need_an_amount_and_a_currency(house: House) -> None:
    least = {"amount": "10.00", "currency": "BRL"}
    refused = await house.merchant("POST", "/payment-intents", least)
    await chooses(house, lenient_intents=True)

    made = await house.merchant("POST", "/payment-intents", least)

    assert (refused.status, made.status) == (400, 201)


async def test_a_merchant_may_choose_how_its_errors_read(house: House) -> None:
    async def error(**headers: str) -> object:
        return (await house.merchant("GET", "/payments/x", headers=headers)).json()["error"]

    assert await error() is True
    await chooses(house, dialect="sdk")
    assert isinstance(await error(), str)
    assert await error(accept='application/json;profile="seed"') is True


async def test_options_are_kept_and_what_is_none_is_refused(house: House) -> None:
    await chooses(house, late_payments="review", refund_fees=False)
    with pytest.raises(Invalid) as wrong:
        await chooses(house, late_payments="never", refund_fees=1, nonsense=True, duplicate_guard_minutes=-1)

    kept = await house.db.read(lambda tx: options.of_merchant(tx, house.shop.merchant.owner))
    assert kept == options.Options(late_payments="review", refund_fees=False)
    assert {fault.field for fault in wrong.value.faults} == {
        "late_payments", "refund_fees", "nonsense", "duplicate_guard_minutes",
    }  # fmt: skip
    assert options.read('{"late_payments": 7, "of_a_newer_version": true}') == options.DEFAULTS
