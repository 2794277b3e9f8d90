"""Statements and schemas are written once, in one form, and translated."""

import sqlite3

import psycopg
import pytest

from opentill.db.dialect import ddl
from opentill.db.statement import numbered


@pytest.mark.parametrize(
    ("sql", "translated", "names"),
    [
        ("select 1", "select 1", ()),
        ("select :a, :b, :a", "select $1, $2, $1", ("a", "b")),
        ("values (:a1,:a_2)", "values ($1,$2)", ("a1", "a_2")),
        ("select ':a', 'it''s :b', :c", "select ':a', 'it''s :b', $1", ("c",)),
        ('select ":a", "x"":b" from t where :c', 'select ":a", "x"":b" from t where $1', ("c",)),
        ("select 1 -- not :a\n, :b", "select 1 -- not :a\n, $1", ("b",)),
        ("select /* :a\n :b */ :c", "select /* :a\n :b */ $1", ("c",)),
        ("select x::text, :a", "select x::text, $1", ("a",)),
        ("select '12:30', a[1:2] % :b, '%'", "select '12:30', a[1:2] % $1, '%'", ("b",)),
    ],
)
def test_parameters_are_numbered_where_they_are_parameters(sql: str, translated: str, names: tuple[str, ...]) -> None:
    assert numbered(sql) == (translated.encode(), names)


def test_postgres_keeps_its_own_form() -> None:
    table = "create table t (id bigint generated always as identity primary key) with (fillfactor = 80);"
    assert ddl("postgres", table) == table


@pytest.mark.parametrize(
    ("postgres", "sqlite"),
    [
        (
            "create table t (id bigint generated always as identity primary key, n smallint not null)",
            "create table t (id integer primary key autoincrement, n integer not null) strict",
        ),
        (
            "CREATE TABLE t (\n  b bytea, d double precision, -- a bigint, 'x'\n  t text default 'bytea'\n)\n"
            "WITH (fillfactor = 80);\n",
            "CREATE TABLE t (\n  b blob, d real, -- a bigint, 'x'\n  t text default 'bytea'\n) strict",
        ),
        (
            "-- what it is\ncreate table t (i integer check (i in (0, 1)))",
            "-- what it is\ncreate table t (i integer check (i in (0, 1))) strict",
        ),
        (
            "create index i on t (bigint_like) where state in (0, 1)",
            "create index i on t (bigint_like) where state in (0, 1)",
        ),
    ],
)
def test_sqlite_gets_its_own_types_and_strict_tables(postgres: str, sqlite: str) -> None:
    assert ddl("sqlite", postgres) == sqlite


Shape = dict[str, dict[str, tuple[str, bool]]]
KINDS = {"bigint": "integer", "smallint": "integer", "bytea": "blob", "double precision": "real"}


def sqlite_shape(path: str) -> Shape:
    """Return each table's columns with their kinds and whether they must have a value."""
    database = sqlite3.connect(path)
    tables = database.execute(
        "select name, strict from pragma_table_list where schema = 'main' and type = 'table'"
    ).fetchall()
    assert all(strict for name, strict in tables if not name.startswith(("sqlite_", "alembic_")))
    shape = {
        name: {
            column: (kind.lower(), bool(required or key))
            for _, column, kind, required, _, key in database.execute(f"pragma table_info({name})")
        }
        for name, _ in tables
    }
    database.close()
    return shape


def postgres_shape(url: str) -> Shape:
    with psycopg.connect(url) as database:
        rows = database.execute(
            "select table_name, column_name, data_type, is_nullable = 'NO' from information_schema.columns "
            "where table_schema = 'public' order by table_name, ordinal_position"
        ).fetchall()
    shape: Shape = {}
    for table, column, kind, required in rows:
        shape.setdefault(table, {})[column] = (KINDS.get(kind, kind), required)
    return shape


def indexes(rows: list[tuple[str]]) -> set[str]:
    return {
        name
        for (name,) in rows
        if not name.startswith(("sqlite_", "alembic_")) and not name.endswith(("_key", "_pkey"))
    }


def test_both_databases_have_the_same_tables_columns_and_indexes(sqlite_url: str, postgres_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    in_sqlite, in_postgres = sqlite_shape(path), postgres_shape(postgres_url)
    for tables in (in_sqlite, in_postgres):
        tables.pop("alembic_version")
    in_sqlite.pop("sqlite_sequence")
    in_sqlite.pop("sqlite_schema")
    assert in_sqlite == in_postgres
    database = sqlite3.connect(path)
    with psycopg.connect(postgres_url) as server:
        assert indexes(database.execute("select name from sqlite_schema where type = 'index'").fetchall()) == indexes(
            server.execute("select indexname from pg_indexes where schemaname = 'public'").fetchall()
        )
    database.close()
