"""New master keys: nothing sealed is ever lost, whoever rotates beside, and whatever does not open."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer

from opentill.cli.keys import BATCH, rotate
from opentill.cli.prepare import prepare
from opentill.db import Tx, open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Keyring
from opentill.master_keys import open_keyring
from opentill.merchants import service as merchants
from opentill.payments import customers
from opentill.payments.model import Contact
from opentill.settings import Settings

CUSTOMERS = BATCH + 30


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data folder with more customers than one batch takes."""
    settings = settings_of(tmp_path)
    prepare(settings)
    clock = SystemClock()
    ids, keyring = SystemIds(clock), open_keyring(settings)

    def fill(tx: Tx) -> None:
        merchant = merchants.create_merchant(tx, "Loja", mode=Mode.SANDBOX, ids=ids, keyring=keyring, now=clock.now())
        for number in range(CUSTOMERS):
            customers.remember(
                tx,
                Contact("Ana", f"ana{number}@example.com"),
                owner=merchant.owner,
                merchant_uuid=merchant.uuid,
                ids=ids,
                keyring=keyring,
                now=clock.now(),
            )

    async with open_database(settings.database_url) as database:
        await database.write(fill)
    return tmp_path


async def test_those_who_rotate_at_once_lose_no_key(data: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rotate, [data] * 4))

    keys = json.loads((data / "master.key").read_text())
    assert sorted(keys["keys"]) == ["k1", "k2", "k3", "k4", "k5"]
    assert await under_each_key(data) == {"k5": CUSTOMERS}


async def test_a_value_that_does_not_open_is_named_and_keeps_no_other_from_being_sealed_anew(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await execute(data, f"update customer set sealed = 'v1.k1.AAAA' where id <= {BATCH}")

    with pytest.raises(typer.Exit) as ended, ThreadPoolExecutor(1) as pool:
        pool.submit(rotate, data).result()

    assert ended.value.exit_code == 1
    assert f"customer.sealed: {BATCH} values do not open" in capsys.readouterr().out
    await execute(data, f"delete from customer where id <= {BATCH}")
    assert await under_each_key(data) == {"k2": CUSTOMERS - BATCH}


async def test_a_draft_that_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    for leftover in ("master.key.new", "master.new", "master.1"):
        (tmp_path / leftover).write_text("half a key")

    keyring = open_keyring(settings_of(tmp_path))

    assert keyring.open(keyring.seal(b"x", "here"), "here") == b"x"


def settings_of(data: Path) -> Settings:
    return Settings.from_environment({}, data=data)


async def execute(data: Path, sql: str) -> None:
    async with open_database(settings_of(data).database_url) as database:
        await database.write(lambda tx: tx.run(sql))


async def under_each_key(data: Path) -> dict[str, int]:
    """Count the customers sealed under each key; each must open."""
    keyring: Keyring = open_keyring(settings_of(data))
    async with open_database(settings_of(data).database_url) as database:
        rows = await database.read(lambda tx: tx.all("select uuid, sealed from customer"))
    counts: dict[str, int] = {}
    for row in rows:
        keyring.open(row["sealed"], f"customer.sealed/{row['uuid']}")
        key = row["sealed"].split(".")[1]
        counts[key] = counts.get(key, 0) + 1
    return counts
