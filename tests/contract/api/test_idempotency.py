"""Idempotency keys between processes, on PostgreSQL: who comes second waits for the first, but not for long."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from opentill.db import open_database
from tests.conftest import OPTIONS
from tests.contract.api.house import PAYMENT, House, open_house

pytestmark = pytest.mark.anyio

HEADERS = {"idempotency-key": "k-1"}
TAKEN = """
    insert into idempotency (merchant_id, mode, surface, scope, key, fingerprint, state,
                             created_at, locked_until_at, expires_at)
    values (%s, 1, 'merchant', '', 'k-1', 'another', 'running', 0, %s, %s)
"""


@pytest.fixture
async def shared(postgres_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """A house whose database another process uses too."""
    async with open_database(postgres_url, options=OPTIONS) as database:
        house = await open_house(database, tmp_path)
        yield house
        await house.close()


@pytest.fixture
def elsewhere(postgres_url: str, shared: House) -> psycopg.Connection:
    """A transaction of another process that has just taken the key."""
    connection = psycopg.connect(postgres_url)
    now = shared.clock.now()
    connection.execute(TAKEN, (shared.shop.merchant.id, now + 60_000_000, now + 86_400_000_000))
    return connection


async def test_a_second_request_waits_two_seconds_for_the_first(shared: House, elsewhere: psycopg.Connection) -> None:
    started = time.monotonic()

    answer = await shared.merchant("POST", "/payments", PAYMENT, headers=HEADERS)

    elsewhere.rollback()
    elsewhere.close()
    assert (answer.status, answer.json()["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert 1.9 < time.monotonic() - started < 4.5
    assert (await shared.rows())["payment"] == 0


async def test_a_second_request_goes_ahead_when_the_first_gives_up(
    shared: House, elsewhere: psycopg.Connection
) -> None:
    waiting = asyncio.create_task(shared.merchant("POST", "/payments", PAYMENT, headers=HEADERS))
    await asyncio.sleep(0.2)

    elsewhere.rollback()
    elsewhere.close()

    assert (await waiting).status == 201
    assert (await shared.rows())["payment"] == 1
