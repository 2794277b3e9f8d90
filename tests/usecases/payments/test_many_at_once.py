"""Many payments of one merchant are booked at once: they share its accounts, and none waits for another in a circle."""

import asyncio

from opentill.db import Options, open_database
from tests.usecases.payments.shop import open_shop

PAYMENTS = 48


async def test_payments_that_share_accounts_are_all_booked(database_url: str) -> None:
    async with open_database(database_url, options=Options(writers=8)) as database:
        shop = await open_shop(database)
        await shop.pays(await shop.orders("10.00"))  # from now on there are accounts
        payments = [await shop.orders("10.00") for _ in range(PAYMENTS)]

        await asyncio.gather(*(shop.pays(payment) for payment in payments))

        paid = (PAYMENTS + 1) * 100_000
        assert await shop.balances() == {"clearing": -paid, "available": paid}


async def test_the_first_payments_of_a_merchant_may_come_together(database_url: str) -> None:
    async with open_database(database_url, options=Options(writers=8)) as database:
        shop = await open_shop(database)
        payments = [await shop.orders("10.00") for _ in range(8)]

        await asyncio.gather(*(shop.pays(payment) for payment in payments))

        assert await shop.balances() == {"clearing": -800_000, "available": 800_000}
