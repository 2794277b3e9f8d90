"""The disk of the database is full, and later has room again (R5, F6).

The disk is a small file system in memory: all of SQLite's files, or on PostgreSQL a tablespace of a server of this
test's own.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

import psycopg
import pytest
from bench.cluster import ACCOUNT, Cluster, NoPostgres

from opentill.db import open_database
from opentill.db.migrations import migrate
from opentill.webhooks.model import Options
from opentill.webhooks.queries import orphans
from tests.chaos.webhooks.loops import eventually, working
from tests.contract.api.client import Response
from tests.contract.api.house import CASH_IN, PAYMENT, House, open_house
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio

SIZE: Final = "128m"
PIECES: Final = (1024 * 1024, 4096, 1)  # bytes written at once, until nothing fits
BEFORE: Final = 5
ASKED_MAX: Final = 3_000  # what was allocated before is filled up first
RECOVERS_S_MAX: Final = 30.0


@dataclass
class SmallDisk:
    """A file system of its own that holds a database."""

    folder: Path
    url: str = ""

    def fill(self) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            for piece in PIECES:
                try:
                    while filler.write(b"x" * piece) == piece:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        (self.folder / "filler").unlink()


@contextmanager
def mounted(folder: Path, account: str | None = None) -> Iterator[Path]:
    """Mount a small file system on a new folder."""
    folder.mkdir()
    owner = pwd.getpwnam(account) if account and os.getuid() == 0 else None
    options = f"size={SIZE}" + (f",uid={owner.pw_uid},gid={owner.pw_gid},mode=700" if owner else "")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@pytest.fixture(params=["sqlite", "postgres"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Iterator[SmallDisk]:
    """A migrated, empty database on a disk of its own."""
    request.node.user_properties.append(("database", request.param))
    with ExitStack() as stack:
        if request.param == "sqlite":
            folder = stack.enter_context(mounted(tmp_path / "disk"))
            yield SmallDisk(folder, f"sqlite:///{shutil.copyfile(sqlite_template, folder / 'opentill.db')}")
            return
        cluster = Cluster(tmp_path)
        cluster.given = ""  # never a server that somebody else uses
        try:
            stack.enter_context(cluster)
        except NoPostgres as missing:
            pytest.skip(str(missing))
        assert cluster.folder is not None
        beside = cluster.folder.with_name(f"{cluster.folder.name}-disk")
        folder = stack.enter_context(mounted(beside, ACCOUNT))
        stack.callback(cluster.stop)  # before its disk goes
        with psycopg.connect(cluster.url, autocommit=True) as server:
            (folder / "tables").mkdir()
            shutil.chown(folder / "tables", *([ACCOUNT] * 2 if os.getuid() == 0 else [os.getuid()]))
            server.execute(f"create tablespace small location '{folder / 'tables'}'")
            server.execute("create database small template template0 tablespace small")
        url = cluster.address("small")
        migrate(url)
        yield SmallDisk(folder, url)


async def pays(house: House, number: int) -> Response:
    fields = PAYMENT | {"reference": f"ORD-{number}", "metadata": {"note": "x" * 400}}
    return await house.merchant("POST", "/payments", fields, headers={"idempotency-key": f"payment {number}"})


@pytest.mark.checklist("F6")
@pytest.mark.bar("R5", gate=1, target=3, quick=1)
async def test_while_the_disk_is_full_the_apis_say_so_and_nothing_acknowledged_is_lost(
    disk: SmallDisk, tmp_path: Path, bar_size: int
) -> None:
    async with open_database(disk.url) as database, Receiver() as receiver:
        house, bench = await open_house(database, tmp_path), Bench(database)
        bench.engine.keyring = house.scene.keyring
        await bench.start()
        options = Options(max_in_flight=50)
        await bench.endpoint(receiver.url("/hook"), owner=house.shop.merchant.owner, options=options)
        acknowledged, numbers = set[str](), count(1)

        def note(answer: Response) -> None:
            assert answer.status == 201, answer
            acknowledged.add(answer.json()["data"]["payment_id"])

        async with working(bench, database) as engine:
            for _ in range(bar_size):
                for number in islice(numbers, BEFORE):
                    note(await pays(house, number))
                disk.fill()
                for number in islice(numbers, ASKED_MAX):
                    house.next_second()
                    refused = await pays(house, number)
                    if refused.status != 201:
                        break
                    note(refused)
                assert (refused.status, refused.headers["retry-after"]) == (503, "1")
                also = await house.pix("POST", "/pix/cash-in", CASH_IN, headers={"idempotency-key": f"pix {number}"})
                assert also.status in (503, 200)  # what it needs may have been allocated before
                disk.free()

                async def serves_again(number: int = number) -> bool:
                    return (await pays(house, number)).status == 201

                await eventually(serves_again, within_s=RECOVERS_S_MAX)
                note(await pays(house, number))  # under the same key, so the same payment

            stored = {row["uuid"] for row in await bench.rows("select uuid from payment where reference is not null")}
            assert acknowledged <= stored
            assert len(stored) - len(acknowledged) <= bar_size  # charges

            async def everybody_knows() -> bool:
                told = {request.header("webhook-id") for request in receiver.requests}
                events = await bench.rows("select id from event where merchant_type is not null")
                return {row["id"] for row in events} <= told

            await eventually(everybody_knows, within_s=60)
            await eventually(lambda: nothing_is_left(bench), within_s=RECOVERS_S_MAX)
            assert engine.db is database  # the same processes all along
        await house.close()


async def nothing_is_left(bench: Bench) -> bool:
    now = bench.engine.clock.now()
    unfinished = await bench.rows("select 1 from webhook_delivery where state <> 2")
    return not unfinished and (await bench.db.read(lambda tx: orphans(tx, now=now))).total == 0
