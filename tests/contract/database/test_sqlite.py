"""What is special about SQLite: shared commits, a file, and other processes that write to it."""

import asyncio
import sqlite3
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from opentill.db import Options, Tx, Unavailable, UniqueViolation, open_database
from tests.contract.database.conftest import create_tables
from tests.contract.database.test_runner import names, opening
from tests.waiting import Gate


@pytest.fixture
def path(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


async def test_commits_are_on_disk_before_they_are_answered_and_keys_are_checked(sqlite_url: str) -> None:
    async with open_database(sqlite_url) as bank:
        settings = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
        for name, value in settings.items():
            row = await bank.write(lambda tx, name=name: tx.one_or_none(f"pragma {name}"))
            assert row is not None
            assert dict(row) == {name: value}


async def test_the_files_belong_to_their_owner_only(tmp_path: Path) -> None:
    async with open_database(f"sqlite:///{tmp_path}/new.db") as bank:
        await bank.write(create_tables)
        assert modes(tmp_path) == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_what_arrives_together_shares_a_commit(sqlite_url: str, path: Path) -> None:
    async with open_database(sqlite_url, options=Options(group_max=50)) as bank:
        await bank.write(create_tables)
        before = commits(path)
        await asyncio.gather(*(bank.write(opening(f"{n}")) for n in range(150)))
        assert commits(path) - before <= 6  # three, unless the machine is very busy
        assert len(await bank.read(names)) == 150


def commits(path: Path) -> int:
    """Count the frames of the log that end a commit (https://www.sqlite.org/fileformat.html#walformat)."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    frame_bytes = 24 + int.from_bytes(log[8:12])
    frames = (log[start : start + 24] for start in range(32, len(log), frame_bytes))
    return sum(frame[4:8] != bytes(4) and frame[8:16] == log[16:24] for frame in frames)


async def test_a_writer_of_another_process_is_waited_for(sqlite_url: str, path: Path) -> None:
    async with open_database(sqlite_url) as bank:
        await bank.write(create_tables)

        def hold() -> None:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("begin immediate")
            other.execute("insert into account (name) values ('other')")
            locked.set()
            time.sleep(0.2)
            other.execute("commit")
            other.close()

        locked = threading.Event()
        holding = asyncio.create_task(asyncio.to_thread(hold))
        assert await asyncio.to_thread(locked.wait, 5)
        await bank.write(opening("ours"))
        await holding
        assert await bank.read(names) == ["other", "ours"]


async def test_a_lock_that_is_never_given_up_makes_the_database_unavailable(sqlite_url: str, path: Path) -> None:
    async with open_database(sqlite_url, options=Options(lock_timeout_s=0.1)) as bank:
        await bank.write(create_tables)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        outcomes = await asyncio.gather(bank.write(opening("a")), bank.write(opening("b")), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
        other.execute("rollback")
        other.close()
        await bank.write(opening("c"))
        assert await bank.read(names) == ["c"]


async def test_a_full_disk_loses_nothing_that_was_answered_and_passes(sqlite_url: str) -> None:
    async with open_database(sqlite_url) as bank:
        await bank.write(create_tables)
        await bank.write(opening("before"))
        await bank.write(lambda tx: tx.all("pragma max_page_count = 1"))  # the size it has now

        gate = Gate()
        blocker = asyncio.create_task(bank.write(lambda tx: gate.wait()))
        await gate.reached()
        together = asyncio.gather(
            bank.write(opening("small")), bank.write(opening("x" * 100_000)), return_exceptions=True
        )
        await asyncio.sleep(0.02)
        gate.open()
        await blocker
        small, large = await together
        assert isinstance(large, Unavailable)
        assert isinstance(small, int | Unavailable)  # SQLite may have to give up the whole transaction

        await bank.write(lambda tx: tx.all("pragma max_page_count = 1000000"))
        await bank.write(opening("z-after"))
        stored = await bank.read(names)
        assert stored == ["before", *(["small"] if isinstance(small, int) else []), "z-after"]


async def test_a_transaction_that_sqlite_gives_up_fails_everybody_in_it(sqlite_url: str) -> None:
    def giving_up(tx: Tx) -> None:
        with suppress(UniqueViolation):
            tx.run("insert or rollback into account (name) values ('taken')")
        opening("outside of any transaction")(tx)

    async with open_database(sqlite_url) as bank:
        await bank.write(create_tables)
        await bank.write(opening("taken"))
        outcomes = await asyncio.gather(
            bank.write(opening("a")), bank.write(giving_up), bank.write(opening("b")), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [UniqueViolation] * 3
        await bank.write(opening("c"))
        assert await bank.read(names) == ["c", "taken"]


async def test_the_log_is_copied_into_the_file_when_nothing_happens(sqlite_url: str, path: Path) -> None:
    async with open_database(sqlite_url) as bank:
        await bank.write(create_tables)
        await bank.write(opening("x" * 50_000))
        before = size(path)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if size(path) > before:
                break
        assert size(path) > before


def size(path: Path) -> int:
    return path.stat().st_size
