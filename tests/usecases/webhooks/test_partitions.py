"""The attempt log always has room for the coming days, whoever makes it first."""

import asyncio

import pytest

from opentill.db import open_database
from opentill.kernel.clock import DAY, Instant, SystemClock
from opentill.webhooks import partitions

pytestmark = pytest.mark.anyio

DAYS: int = partitions.DAYS_BEHIND + partitions.DAYS_AHEAD + 1


async def test_processes_that_prepare_at_the_same_instant_all_succeed(postgres_url: str) -> None:
    in_a_year = Instant(SystemClock().now() + 365 * DAY)  # which nobody has made yet
    async with open_database(postgres_url) as one, open_database(postgres_url) as other:
        await asyncio.gather(one.read(lambda tx: tx.all("select 1")), other.read(lambda tx: tx.all("select 1")))
        made = await asyncio.gather(
            *(db.write(lambda tx: partitions.keep_ahead(tx, now=in_a_year)) for db in (one, other, one, other))
        )
        assert max(made) == DAYS
        assert await one.write(lambda tx: partitions.keep_ahead(tx, now=in_a_year)) == 0
        assert await one.write(lambda tx: partitions.keep_ahead(tx, now=Instant(in_a_year + DAY))) == 1


async def test_sqlite_keeps_all_days_in_one_table(sqlite_url: str) -> None:
    async with open_database(sqlite_url) as database:
        assert await database.write(lambda tx: partitions.keep_ahead(tx, now=SystemClock().now())) == 0
