"""The edge cases of pix-rail.md §6.10 that no other test of this folder is about, and a receipt found three ways."""

import asyncio
from random import Random

import pytest

from opentill.kernel.calendar import day_of
from opentill.kernel.clock import DAY, MINUTE, SECOND
from opentill.payments.matching.flow import match_day
from opentill.payments.matching.rules import Difference, Kind
from opentill.payments.pix import flow as pix_flow
from opentill.pix.model import State
from opentill.pix.port import Page
from tests.usecases.pix.shop import KEY, Shop

pytestmark = pytest.mark.anyio

ROUNDS = 10
AT_ONCE = 100  # receipts of a round: 1,000 in all


@pytest.mark.checklist("L13")
@pytest.mark.timeout(600)
async def test_a_receipt_found_by_hint_look_and_sweep_at_once_on_two_workers_is_booked_once(shop: Shop) -> None:
    chance = Random(13)
    workers = (shop.tools, shop.another_worker())
    for _ in range(ROUNDS):
        charges = await asyncio.gather(*(shop.charges("30.00") for _ in range(AT_ONCE)))
        for charge in charges:
            await shop.payer_pays(charge, notify=chance.choice(("now", "twice", "never")))
        await shop.rings()
        shop.passes(4 * MINUTE)  # looks, hints and the sweep are all due
        jobs = [
            job(worker)
            for worker in workers
            for job in (pix_flow.sweep, pix_flow.look_at_due, pix_flow.confirm_due_hints, pix_flow.look_at_due)
        ]
        chance.shuffle(jobs)
        await asyncio.gather(*jobs)

    total = ROUNDS * AT_ONCE
    assert await shop.receipts() == [("charge", "booked", 3_000)] * total
    assert await shop.books() == {"bank": -3_000 * total, "available": 3_000 * total}
    [events] = await shop.rows("select count(*) as found from event where pix_type = 'pix.charge.paid'")
    assert events["found"] == total


@pytest.mark.checklist("L16")
async def test_a_static_code_with_a_charges_label_that_is_paid_twice_completes_it_once(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    for _ in range(2):
        await shop.pays_key(KEY, 3_000, label=charge.id)
        await shop.is_told()

    assert await shop.state(charge) is State.COMPLETED
    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]


@pytest.mark.checklist("L16", "L6", "X29")
async def test_two_end_to_end_ids_that_differ_only_in_case_are_two_receipts(shop: Shop) -> None:
    for name in ("E99999002202603071530abcdef12345", "E99999002202603071530ABCDEF12345"):
        await shop.pays_key(KEY, 1_000, e2e_id=name)
    await shop.sweeps()
    await shop.sweeps()

    assert await shop.receipts() == [("direct", "booked", 1_000)] * 2


@pytest.mark.checklist("L16")
async def test_a_receipt_that_a_later_list_lacks_stays_booked_and_is_told_by_the_daily_match(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    [arrived] = await shop.payer_pays(charge)
    await shop.is_told()
    shop.passes(20 * SECOND)
    account = (await shop.hook())[1]
    day = day_of(shop.clock.now())
    assert await match_day(shop.tools, account, day) == []

    shop.changed["list_receipts"] = lambda _page: Page((), None)
    assert await match_day(shop.tools, account, day) == [Difference(arrived, Kind.MISSING, 300_000, 0)]
    shop.changed["list_receipts"] = lambda _page: Page((), None)
    await shop.sweeps()

    assert await shop.state(charge) is State.COMPLETED
    assert await shop.books() == {"bank": -3_000, "available": 3_000}
    assert "daily match: missing" in await shop.reviews()


@pytest.mark.checklist("L16")
@pytest.mark.parametrize("skew", [-5 * MINUTE, 5 * MINUTE])
async def test_a_clock_that_is_five_minutes_off_misses_nothing(shop: Shop, skew: int) -> None:
    """The bank's clock is ours in these tests, so ours is moved away from what the bank has written down."""
    charge = await shop.charges("30.00", expires_in_s=86_400)
    await shop.sweeps()
    await shop.payer_pays(charge, notify="never")
    shop.clock.advance(skew)
    await shop.sweeps()
    shop.clock.advance(-skew)
    await shop.sweeps()

    assert await shop.state(charge) is State.COMPLETED
    assert (await shop.found(charge)).expires_at - charge.created_at <= DAY + SECOND
