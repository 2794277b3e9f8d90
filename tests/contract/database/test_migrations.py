"""Bringing a database to the newest revision, on both databases."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from opentill.db import Unavailable, open_database
from opentill.db.migrations import HERE, SchemaTooNew, current, head, migrate, revisions
from tests.conftest import new_postgres_database

REVISION = """
from alembic import op

revision, down_revision = {own!r}, {before!r}


def upgrade() -> None:
    {work}
"""


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table."""
    request.node.user_properties.append(("database", request.param))
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/opentill.db"
    else:
        with new_postgres_database() as url:
            yield url


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A history of one revision, which makes the table `first`."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(HERE / "env.py", folder)
    add(folder, "0001", None, "op.execute('create table first (id integer)')")
    return folder


def add(scripts: Path, own: str, before: str | None, work: str) -> None:
    (scripts / "versions" / f"{own}_test.py").write_text(REVISION.format(own=own, before=before, work=work))


async def tables(url: str) -> set[str]:
    async with open_database(url) as database:
        rows = await database.read(
            lambda tx: tx.all(
                "select name from sqlite_schema where type = 'table'"
                if tx.dialect == "sqlite"
                else "select tablename as name from pg_tables where schemaname = 'public'"
            )
        )
    return {row["name"] for row in rows} - {"alembic_version", "sqlite_sequence"}


async def test_an_empty_database_gets_every_revision_and_then_only_new_ones(empty_url: str, scripts: Path) -> None:
    assert current(empty_url) is None
    migrate(empty_url, scripts=scripts)
    assert current(empty_url) == head(scripts) == "0001"
    migrate(empty_url, scripts=scripts)
    add(scripts, "0002", "0001", "op.execute('create table second (id integer)')")
    migrate(empty_url, scripts=scripts)
    assert current(empty_url) == "0002"
    assert await tables(empty_url) == {"first", "second"}


async def test_a_revision_that_fails_leaves_nothing_of_itself_and_can_be_run_again(
    empty_url: str, scripts: Path
) -> None:
    migrate(empty_url, scripts=scripts)
    broken = "op.execute('create table second (id integer)'); op.execute('create nonsense')"
    add(scripts, "0002", "0001", broken)
    with pytest.raises(Exception, match="nonsense"):
        migrate(empty_url, scripts=scripts)
    assert current(empty_url) == "0001"
    assert await tables(empty_url) == {"first"}
    add(scripts, "0002", "0001", "op.execute('create table second (id integer)')")
    migrate(empty_url, scripts=scripts)
    assert await tables(empty_url) == {"first", "second"}


async def test_a_database_of_a_newer_version_is_left_alone_with_advice(empty_url: str, scripts: Path) -> None:
    add(scripts, "0002", "0001", "op.execute('create table second (id integer)')")
    migrate(empty_url, scripts=scripts)
    (scripts / "versions" / "0002_test.py").unlink()
    with pytest.raises(SchemaTooNew, match=r"revision 0002.*up to 0001.*newer version"):
        migrate(empty_url, scripts=scripts)
    assert await tables(empty_url) == {"first", "second"}


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    program = f"from opentill.db.migrations import migrate; migrate({empty_url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert current(empty_url) == head()


def test_a_migrated_database_starts_without_what_it_has_no_use_for(database_url: str) -> None:
    needless = ", 'psycopg'" if database_url.startswith("sqlite") else ""
    program = (
        "import sys; from opentill.db.migrations import migrate; import opentill.db; "
        f"migrate({database_url!r}); opentill.db.open_database({database_url!r}); "
        f"needless = {{'alembic', 'sqlalchemy'{needless}}}; sys.exit(', '.join(needless & set(sys.modules)) or None)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_database_that_does_not_answer_is_said_to_be_unavailable(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database" * 100)
    for url in (f"sqlite:///{tmp_path}/text.db", "postgresql://nobody@127.0.0.1:1/nothing"):
        with pytest.raises(Unavailable, match="does not answer"):
            migrate(url)


def test_the_revisions_are_one_chain_and_named_by_their_numbers() -> None:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    chain = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert chain == revisions()[::-1]
    assert revisions() == [f"{number:04}" for number in range(1, len(chain) + 1)]


def test_an_address_with_options_and_percent_signs_is_understood(scripts: Path) -> None:
    with new_postgres_database() as url:
        url = f"{url}?options=-c%20search_path%3Dpublic&application_name=a%25b"
        migrate(url, scripts=scripts)
        assert current(url) == "0001"


OLD_RECEIPT = """
insert into receipt (merchant_id, mode, gateway, account, ref, units, currency, origin, state, received_at, created_at)
values (1, 0, 'pix', '{account}', '{ref}', 100, 'BRL', 'direct', 'booked', 0, 0)
"""


def execute(url: str, statements: list[str]) -> list[tuple[object, ...]]:
    """Execute statements where no row that another one refers to need exist; return the rows of the last."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("set session_replication_role = replica")
        cursors = [server.execute(statement.encode()) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []


def test_money_that_was_counted_twice_before_keeps_no_upgrade(empty_url: str, tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copytree(HERE, before)
    for later in [path for path in (before / "versions").glob("[0-9]*.py") if path.name[:4] >= "0017"]:
        later.unlink()
    migrate(empty_url, scripts=before)
    twice, elsewhere, once = ("E" + digit * 31 for digit in "123")
    rows = [(twice, ""), (twice, "5"), (elsewhere, "5"), (elsewhere, "6"), (once, "")]
    execute(empty_url, [OLD_RECEIPT.format(account=account, ref=ref) for ref, account in rows])
    migrate(empty_url)
    assert execute(empty_url, ["select ref, account, again from receipt order by id"]) == [
        (twice, "", 1),
        (twice, "5", 0),
        (elsewhere, "5", 0),
        (elsewhere, "6", 1),
        (once, "", 0),
    ]
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        execute(empty_url, [OLD_RECEIPT.format(account="7", ref=once)])
