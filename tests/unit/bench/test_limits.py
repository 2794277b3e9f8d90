"""The raw loops run the recorded statements and store what the product would store."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from bench.cluster import NoPostgres, programs
from bench.limits import raw_psycopg, raw_sqlite
from bench.limits.pgbench import function
from bench.limits.pgbench.run import requests_per_second
from bench.limits.pgbench.script import literal, script
from bench.renewal import renewable

from opentill.db.dialect import ddl
from tests.unit.bench.recordings import TABLES, pairs
from tests.unit.bench.test_renewal import UUID7


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "raw.db"
    connection = sqlite3.connect(path)
    for table in TABLES:
        connection.execute(ddl("sqlite", table))
    connection.close()
    return path


@pytest.mark.parametrize("group", [1, 64])
def test_the_sqlite_loop_stores_what_it_counts(sqlite_file: Path, group: int) -> None:
    found = raw_sqlite.measure(sqlite_file, renewable(pairs()), seconds=0.2, group=group)
    connection = sqlite3.connect(sqlite_file)
    (stored,) = connection.execute("select count(*) from payment").fetchone()
    connection.close()
    assert found["count"] % group == 0
    assert stored >= found["count"] > 0
    assert found["rate"] > found["count"] / 2


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url) as server:
        server.execute("create schema bench")
        server.execute("set search_path to bench")
        for table in TABLES:
            server.execute(table.encode())
    yield f"{postgres_url}?options=-csearch_path%3Dbench"
    with psycopg.connect(postgres_url) as server:
        server.execute("drop schema bench cascade")


def test_the_postgres_loop_stores_what_it_counts(postgres: str) -> None:
    found = raw_psycopg.measure(postgres, renewable(pairs()), seconds=0.3, connections=2)
    with psycopg.connect(postgres) as server:
        row = server.execute("select count(*) from payment").fetchone()
    assert row is not None
    assert row[0] >= found["count"] > 0


def test_the_pgbench_script_makes_values_of_the_same_shape(postgres: str, tmp_path: Path) -> None:
    try:
        folder = programs()
    except NoPostgres as missing:
        pytest.skip(str(missing))
    path = tmp_path / "request.pgbench"
    path.write_text(script(renewable(pairs())))
    assert requests_per_second(folder, postgres, path, clients=2, seconds=1) > 0
    with psycopg.connect(postgres) as server:
        rows = server.execute(
            "select p.uuid, p.token, p.order_id, p.expires_at - c.created_at, c.owner"
            " from payment p join customer c on c.id = p.customer_id"
        ).fetchall()
        documents = server.execute("select convert_from(doc, 'UTF8') from event limit 5").fetchall()
    assert rows
    for uuid, token, order_id, lifetime, owner in rows[:50]:
        assert UUID7.fullmatch(uuid)
        assert re.fullmatch(r"[0-9a-f]{64}", token)
        assert re.fullmatch(r"ORD-[0-9a-f]{32}", order_id)
        assert lifetime == 1_800_000_000
        assert owner in (1, 2, 3)
    assert {owner for *_, owner in rows} == {1, 2, 3}
    assert all('"note": "a: b"' in document for (document,) in documents)


def test_the_same_work_runs_as_one_function(postgres: str) -> None:
    request = renewable(pairs())
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(function.definition(request).encode())
        numbers = ", ".join(str(1000 + number) for number in function.variables(request))
        server.execute(f"select {function.NAME}(2, {numbers})".encode())
        row = server.execute("select c.owner from payment p join customer c on c.id = p.customer_id").fetchone()
    assert row == (2,)


def test_no_value_puts_a_colon_into_the_script() -> None:
    assert ":" not in literal('{"a":1, "b": "it\'s \\ so"}')
