"""Refunds on the rail, through the real adapter and the sandbox bank (pix-api.md §12.5, §16.4)."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from opentill.kernel.clock import DAY, SECOND
from opentill.kernel.errors import Refused
from opentill.payments.model import PaymentStatus, Refund
from opentill.pix.model import Charge
from tests.usecases.pix.shop import Shop

pytestmark = pytest.mark.anyio


async def paid(shop: Shop, reais: str = "30.00") -> Charge:
    charge = await shop.charges(reais)
    await shop.payer_pays(charge)
    await shop.is_told()
    return charge


async def refusal(asking: Awaitable[Any]) -> str:
    with pytest.raises(Refused) as refused:
        await asking
    return refused.value.message


async def told(shop: Shop) -> list[str]:
    return [name for name in await shop.events() if name.startswith("refund")]


async def status(shop: Shop, refund: Refund) -> str:
    return str((await shop.rows("select status from refund where id = :id", id=refund.id))[0]["status"])


REQUESTED, COMPLETED, FAILED = (
    f"refund.{mine} pix.refund.{rail}"
    for mine, rail in (("created", "requested"), ("completed", "completed"), ("failed", "failed"))
)


async def test_a_refund_is_held_sent_and_completed(shop: Shop) -> None:
    charge = await paid(shop)
    refund = await shop.gives_back(charge.id, "10.00")
    assert await shop.books() == {"bank": -3_000, "available": 2_000, "held": 1_000}

    await shop.asks_about_refunds()
    await shop.asks_about_refunds(after_us=31 * SECOND)
    assert await status(shop, refund) == "completed"
    assert await shop.books() == {"bank": -2_000, "available": 2_000}
    assert await told(shop) == [REQUESTED, COMPLETED]
    part = (await shop.documents())[-1]["refund"]
    assert (part["refund_id"], part["transaction_id"], part["returned_units"]) == (refund.public_id, charge.id, 100_000)
    assert part["return_id"].startswith("D")
    payment = await shop.payment_of(charge)
    assert (payment.status, payment.refunded.units) == (PaymentStatus.COMPLETED, 100_000)


@pytest.mark.checklist("X38")
async def test_many_parts_never_exceed_what_was_received(shop: Shop) -> None:
    charge = await paid(shop)
    await shop.gives_back(charge.id, "10.00")
    (e2e_id,) = [row["ref"] for row in await shop.rows("select ref from receipt")]
    await shop.gives_back(e2e_id, "15.00")
    exceeded = "Refund amount exceeds the original transaction"
    assert await refusal(shop.gives_back(charge.id, "5.01")) == exceeded
    rest = await shop.gives_back(charge.id)
    assert rest.charge.units == 50_000
    assert await refusal(shop.gives_back(charge.id)) == exceeded


@pytest.mark.checklist("X39")
async def test_of_many_at_once_exactly_what_fits_is_accepted(shop: Shop) -> None:
    charge = await paid(shop, "50.00")

    async def tried() -> bool:
        try:
            await shop.gives_back(charge.id, "1.00")
        except Refused:
            return False
        return True

    assert sum(await asyncio.gather(*(tried() for _ in range(100)))) == 50
    assert await shop.books() == {"bank": -5_000, "held": 5_000}


@pytest.mark.checklist("L16")
async def test_a_failed_refund_gives_the_money_back_and_another_may_follow(shop: Shop) -> None:
    charge = await paid(shop)
    refused, undone = await shop.gives_back(charge.id, "1.13"), await shop.gives_back(charge.id, "1.14")
    for _ in range(3):
        await shop.asks_about_refunds(after_us=31 * SECOND)
    assert (await status(shop, refused), await status(shop, undone)) == ("failed", "failed")
    assert sorted(await told(shop)) == sorted([REQUESTED, REQUESTED, FAILED, FAILED])
    again = await shop.gives_back(charge.id)
    await shop.asks_about_refunds()
    await shop.asks_about_refunds(after_us=31 * SECOND)
    assert await status(shop, again) == "completed"
    assert await shop.books() == {}


@pytest.mark.checklist("L15")
async def test_a_lost_answer_is_resolved_by_reading(shop: Shop) -> None:
    charge = await paid(shop)
    refund = await shop.gives_back(charge.id, "1.15")  # times out after execution
    for _ in range(4):
        await shop.asks_about_refunds(after_us=16 * SECOND)
    assert await status(shop, refund) == "completed"
    assert await shop.books() == {"bank": -2_885, "available": 2_885}


async def test_a_refusal_beside_a_return_of_another_amount_is_a_doubt(shop: Shop) -> None:
    charge = await paid(shop)
    await shop.fault("refund.submit", "duplicate")  # carried out, and refused as one that was there before
    refund = await shop.gives_back(charge.id, "10.00")
    shop.after["get_return"] = lambda: shop.fault("refund.query", "wrong_amount")  # the next look says one centavo more
    await shop.asks_about_refunds()
    assert await status(shop, refund) == "pending"
    for _ in range(3):
        await shop.asks_about_refunds(after_us=31 * SECOND)
    assert await status(shop, refund) == "completed"
    assert await shop.books() == {"bank": -2_000, "available": 2_000}


@pytest.mark.checklist("X38", "L17")
async def test_what_cannot_go_back_is_refused_in_the_words_of_the_api(shop: Shop) -> None:
    charge = await paid(shop)
    unpaid = await shop.charges("10.00")
    assert await refusal(shop.gives_back("nothing")) == "Original transaction not found"
    assert await refusal(shop.gives_back(unpaid.id)) == "Transaction is not refundable"
    await shop.sends("25.00")
    assert await refusal(shop.gives_back(charge.id)) == "Insufficient balance for refund"
    await shop.funds("30.00")
    shop.passes(90 * DAY - SECOND)
    await shop.gives_back(charge.id, "1.00")
    shop.passes(2 * SECOND)
    assert await refusal(shop.gives_back(charge.id, "1.00")) == "Refund window has expired"


async def test_money_without_a_charge_goes_back_too(shop: Shop) -> None:
    await shop.pays_key("123e4567-e12b-12d1-a456-426655440000", 2_000)
    await shop.sweeps()
    row = (await shop.rows("select public_id from receipt"))[0]
    refund = await shop.gives_back(row["public_id"])
    await shop.asks_about_refunds()
    await shop.asks_about_refunds(after_us=31 * SECOND)
    assert await status(shop, refund) == "completed"
    assert await told(shop) == [REQUESTED, COMPLETED]
    assert await shop.books() == {}


async def test_a_return_made_in_the_banks_own_app_is_booked_once(shop: Shop) -> None:
    charge = await paid(shop)
    (e2e_id,) = [row["ref"] for row in await shop.rows("select ref from receipt")]
    await shop.sim("returns", {"e2e_id": e2e_id, "amount": 1_000, "nature": "ORIGINAL"})
    for _ in range(3):
        await shop.sweeps()
        await shop.is_told()
    assert await told(shop) == [REQUESTED, COMPLETED]
    assert (await shop.documents())[-1]["refund"]["origin"] == "operator"
    assert await shop.books() == {"bank": -2_000, "available": 2_000}
    assert (await shop.payment_of(charge)).refunded.units == 100_000
