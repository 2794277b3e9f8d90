"""A process that is killed loses nothing it acknowledged, and leaves no unit of work half done."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter

import pytest

from opentill.db import open_database
from tests.contract.database.conftest import create_tables
from tests.contract.database.test_runner import names

PATIENCE_S = 60
KILLS = 5


async def prepared(url: str) -> None:
    async with open_database(url) as bank:
        await bank.write(create_tables)


def start(url: str, where: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.contract.database.dying", url, where]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def stored_pairs(url: str) -> set[int]:
    """Return which pairs are stored; none is there by half."""
    async with open_database(url) as bank:
        rows = Counter(int(name.partition("-")[0]) for name in await bank.read(names))
    assert set(rows.values()) <= {2}
    return set(rows)


@pytest.mark.parametrize("where", ["between", "end", "answered"])
async def test_what_was_acknowledged_is_there_wherever_the_process_dies(database_url: str, where: str) -> None:
    await prepared(database_url)
    process = start(database_url, where)
    output, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    acknowledged = {int(line) for line in output.splitlines()}
    stored = await stored_pairs(database_url)
    assert acknowledged
    assert acknowledged <= stored


async def test_what_was_acknowledged_is_there_whenever_the_process_is_killed(database_url: str) -> None:
    chance = random.Random(7)
    await prepared(database_url)
    for _ in range(KILLS):
        async with open_database(database_url) as bank:
            await bank.write(lambda tx: tx.run("delete from account"))
        process = start(database_url, "never")
        assert process.stdout is not None
        first = await asyncio.to_thread(process.stdout.readline)
        await asyncio.sleep(chance.uniform(0, 0.1))
        process.kill()
        rest, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
        *acknowledged, _cut_off = (first + rest).split(b"\n")
        assert {int(number) for number in acknowledged} <= await stored_pairs(database_url)
