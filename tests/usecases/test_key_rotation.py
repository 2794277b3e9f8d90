"""New master keys: nothing sealed is ever lost, whoever rotates beside, and whatever does not open."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer

from opentill.cli.keys import BATCH, SEALED, rotate
from opentill.cli.prepare import prepare
from opentill.db import Tx, open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.master_keys import open_keyring
from opentill.merchants import service as merchants
from opentill.payments.customers import service as customers
from opentill.payments.model import Contact
from opentill.settings import Settings
from opentill.webhooks import service as webhooks
from opentill.webhooks.entrusted import Entrusted
from opentill.webhooks.model import BOUNDS, Dialect, Options
from opentill.webhooks.signing_keys import open_seed
from opentill.webhooks.store import keys

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


UNUSED = {("merchant_gateway", "sealed_settings")}  # nothing is stored there yet


async def test_every_sealed_column_is_sealed_anew(data: Path) -> None:
    async with open_database(settings_of(data).database_url) as database:
        found = await database.read(
            lambda tx: tx.all(
                """
                select t.name as place, c.name as field from sqlite_schema t join pragma_table_info(t.name) c
                 where t.type = 'table' and c.name like 'sealed%'
                """
            )
        )
    columns = {(row["place"], row["field"]) for row in found}
    assert columns - UNUSED == {(sealed.table, sealed.column) for sealed in SEALED}


async def test_credentials_and_key_pairs_of_webhooks_open_after_a_rotation(data: Path) -> None:
    settings = settings_of(data)
    keyring, clock = open_keyring(settings), SystemClock()
    kept = Entrusted(headers=(("X-Shop", "north"),))

    def register(tx: Tx) -> None:
        webhooks.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=Owner(tx.all("select id from merchant")[0]["id"], Mode.SANDBOX),
            dialect=Dialect.MERCHANT,
            url="https://shop.example/hook",
            options=Options(),
            ids=SystemIds(clock),
            keyring=keyring,
            now=clock.now(),
            entrusted=kept,
        )

    async with open_database(settings.database_url) as database:
        await database.write(register)
    await asyncio.to_thread(rotate, data)
    async with open_database(settings.database_url) as database:
        endpoint = (await database.read(lambda tx: tx.all("select id, sealed from webhook_endpoint")))[0]
        owner = Owner((await database.read(lambda tx: tx.all("select id from merchant")))[0]["id"], Mode.SANDBOX)
        (key,) = await database.read(lambda tx: keys.published(tx, owner, now=clock.now()))
    fresh = open_keyring(settings)
    assert endpoint["sealed"].split(".")[1] == key.sealed.split(".")[1] == fresh.current
    assert Entrusted.opened(endpoint["sealed"], fresh, endpoint["id"]) == kept
    assert open_seed(key, fresh).reveal()
