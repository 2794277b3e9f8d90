"""A fresh database for each test, on SQLite and on PostgreSQL.

A test that takes `database` runs twice. PostgreSQL is the server at OPENTILL_TEST_DATABASE_URL, as a superuser; where
none answers, that half is skipped, except in CI, where it fails.
"""

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from opentill.db import Database, Options, Unavailable, open_database
from opentill.db.migrations import migrate
from tests.contract.webhooks.schema import EMITTED, wrong_bodies

SERVER_URL = os.environ.get("OPENTILL_TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
OPTIONS = Options(writers=4, readers=2)

pytest_plugins = ("tests.bars",)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A started, migrated, empty database. Every webhook body a test leaves in it must obey its schema."""
    async with open_database(database_url, options=OPTIONS) as database:
        yield database
        try:
            emitted = await database.read(lambda tx: [dict(row) for row in tx.all(EMITTED)])
        except Unavailable:  # the test has closed it, to see what is said then
            emitted = []
    assert wrong_bodies(emitted) == {}


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated, empty database of this test's own."""
    request.node.user_properties.append(("database", request.param))
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'opentill.db')}"


@pytest.fixture
def postgres_url(emptied_after_tests: str) -> Iterator[str]:
    yield emptied_after_tests
    empty(emptied_after_tests)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, which is copied for each test."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def emptied_after_tests() -> Iterator[str]:
    """The address of a migrated database that is emptied after each test, which is much faster than a new one.

    Its commits do not wait for the disk: no test that uses it asks what a power cut leaves.
    """
    with new_postgres_database() as url:
        on_server("alter database {} set synchronous_commit = off", urlsplit(url).path.removeprefix("/"))
        migrate(url)
        with psycopg.connect(url) as database:
            database.execute("create schema test_kept; create table test_kept.migrated as select oid from pg_class")
        yield url


@contextmanager
def new_postgres_database() -> Iterator[str]:
    """Create a database without tables, give its address, and drop it."""
    name = f"opentill_test_{secrets.token_hex(6)}"
    try:
        on_server("create database {}", name)
    except psycopg.OperationalError as error:
        reason = f"no PostgreSQL at {SERVER_URL} (OPENTILL_TEST_DATABASE_URL): {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield urlsplit(SERVER_URL)._replace(path=f"/{name}").geturl()
    finally:
        on_server("drop database {} with (force)", name)


def on_server(statement: str, *names: str) -> None:
    with psycopg.connect(SERVER_URL, autocommit=True, connect_timeout=3) as server:
        server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def empty(url: str) -> None:
    """Disconnect everybody, drop what a test created, delete all rows, and start every number at 1 again."""
    with psycopg.connect(url) as database:
        database.execute(EMPTY)


EMPTY = """
set session_replication_role = replica;  -- the guards against deleting are for everybody else
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
do $$
declare found record;
begin
  for found in select oid, cast(oid as regclass) as name from pg_class
                where relnamespace = cast('public' as regnamespace) and relkind in ('r', 'p')
  loop
    if exists (select from test_kept.migrated m where m.oid = found.oid) then
      if found.name <> cast('alembic_version' as regclass) then
        execute format('delete from %s', found.name);
      end if;
    else
      execute format('drop table if exists %s cascade', found.name);
    end if;
  end loop;
  perform setval(cast(seqrelid as regclass), 1, false) from pg_sequence;
end $$;
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [
        dict(report.user_properties).get("database")
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call"
    ]
    if any(ran):
        terminalreporter.write_line(
            f"use-case suite: {ran.count('sqlite')} on sqlite, {ran.count('postgres')} on postgres"
        )
