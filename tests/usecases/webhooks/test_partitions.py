"""The attempt log always has room for the coming days, whoever makes it first."""

import asyncio

import psycopg
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


async def test_days_are_made_while_a_backup_reads_the_log(postgres_url: str) -> None:
    in_a_year = Instant(SystemClock().now() + 365 * DAY)
    async with open_database(postgres_url) as database, asyncio.timeout(3):
        with psycopg.connect(postgres_url) as backup:
            backup.execute("lock table webhook_attempt in access share mode")
            made = await database.write(lambda tx: partitions.keep_ahead(tx, now=in_a_year))
    assert made == DAYS


async def test_a_day_made_ahead_takes_attempts_as_any_other(postgres_url: str) -> None:
    now = SystemClock().now()
    async with open_database(postgres_url) as database:
        await database.write(lambda tx: partitions.keep_ahead(tx, now=now))
        at = Instant(now + partitions.DAYS_AHEAD * DAY)
        await database.write(
            lambda tx: tx.run(
                """
                insert into webhook_attempt (public_id, delivery_id, endpoint_id, number, claim_gen, started_at,
                                             duration_us, outcome, detail)
                values ('att_1', 1, 1, 1, 1, :at, 1, 'ok', '{}'), ('att_2', 1, 1, 2, 1, :at, 1, 'ok', '{}')
                """,
                at=at,
            )
        )
        found = await database.read(
            lambda tx: tx.all("select cast(tableoid as regclass) as day, id from webhook_attempt order by id")
        )
    assert [row["day"] for row in found] == [partitions.first_kept(at, days=0)] * 2
    assert found[0]["id"] < found[1]["id"]


async def test_sqlite_keeps_all_days_in_one_table(sqlite_url: str) -> None:
    async with open_database(sqlite_url) as database:
        assert await database.write(lambda tx: partitions.keep_ahead(tx, now=SystemClock().now())) == 0
