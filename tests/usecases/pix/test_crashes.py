"""A process may die between any call to the bank and what is stored of it, and any number may work at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from opentill.kernel.clock import DAY, MINUTE
from opentill.payments import flow
from opentill.payments.pix import flow as pix_flow
from opentill.payments.tools import Tools
from opentill.pix.model import State
from tests.usecases.pix.shop import KEY, Died, Shop, die

CREATED = "payment.pending pix.charge.created"
PAID = "payment.completed pix.charge.paid"
EXPIRED = "payment.expired pix.charge.expired"
EVERYTHING: tuple[Callable[[Tools], Awaitable[int]], ...] = (
    pix_flow.confirm_due_hints,
    pix_flow.look_at_due,
    pix_flow.sweep,
    flow.expire_due,
    flow.check_due_sessions,
)


@pytest.mark.parametrize(
    ("call", "job"),
    [
        ("get_receipt", pix_flow.confirm_due_hints),
        ("get_charge", pix_flow.look_at_due),
        ("list_receipts", pix_flow.sweep),
    ],
)
async def test_what_was_read_and_not_booked_is_read_again(
    shop: Shop, call: str, job: Callable[[Tools], Awaitable[int]]
) -> None:
    charge = await shop.charges("30.00", expires_in_s=86_400)
    await shop.payer_pays(charge)
    await shop.rings()
    shop.passes(5 * MINUTE)
    shop.after[call] = die
    with pytest.raises(Died):
        await job(shop.tools)
    await shop.starts_again()
    assert await shop.books() == {}

    await job(shop.tools)

    assert await shop.state(charge) is State.COMPLETED
    assert await shop.events() == [CREATED, PAID]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_any_number_of_workers_book_everything_once(shop: Shop) -> None:
    charges = [await shop.charges("30.00", expires_in_s=3_600 + number) for number in range(24)]
    for number, charge in enumerate(charges):
        await shop.payer_pays(charge, count=1 + number % 3, notify=("now", "never", "twice")[number % 3])
    await shop.pays_key(KEY, 500)
    await shop.rings()
    shop.passes(5 * MINUTE)

    await asyncio.gather(*(job(shop.tools) for _ in range(3) for job in EVERYTHING))

    paid = sum(3_000 * (1 + number % 3) for number in range(24)) + 500
    assert await shop.books() == {"bank": -paid, "available": paid}
    assert [await shop.state(charge) for charge in charges] == [State.COMPLETED] * 24
    assert (await shop.events()).count(PAID) == 24


async def test_any_number_of_workers_end_everything_once(shop: Shop) -> None:
    charges = [await shop.charges(expires_in_s=60) for _ in range(24)]
    shop.passes(DAY)

    await asyncio.gather(*(job(shop.tools) for _ in range(3) for job in EVERYTHING))

    assert [await shop.state(charge) for charge in charges] == [State.EXPIRED] * 24
    assert sorted(await shop.events()) == [EXPIRED] * 24 + [CREATED] * 24
