"""A fast wrong run is a failure: after every performance run the books hold and nothing acknowledged is missing."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from bench.cluster import DURABLE, NotDurable
from bench.limits import raw_sqlite
from bench.product import Install, ProductFailed
from bench.results import Found
from opentill.db import Options
from opentill.db import sqlite as product_sqlite
from opentill.db.postgres.connection import connect as connect_postgres
from opentill.db.url import sqlite_path

if TYPE_CHECKING:
    from bench.session import Session

SQLITE_FULL = 2
PRAGMAS = tuple(pragma.partition(" = ")[0] for pragma in raw_sqlite.PRAGMAS)


def audited(session: "Session", found: Sequence[Found]) -> Sequence[Found]:
    """Return *found*, or the same as failures with the reason."""
    reason = wrong(session)
    if not reason:
        return found
    return [replace(row, verdict="fail", note=reason) if row.verdict != "not_run" else row for row in found]


def wrong(session: "Session") -> str:
    """Say what is wrong with what the product stored, or nothing."""
    try:
        session.install.verify()
    except ProductFailed as failure:
        return f"the books do not hold: {failure}"
    if session.not_accepted:
        return f"{session.not_accepted} requests were not accepted"
    stored, acknowledged = count_payments(session.install), session.acknowledged
    # An answer that was lost on its way may have been stored, and may not.
    if not acknowledged <= stored <= acknowledged + session.lost:
        return f"{acknowledged} payments were acknowledged, {stored} are stored"
    return ""


def count_payments(install: Install) -> int:
    return int(query(install, "select count(*) from payment")[0][0])


def query(install: Install, sql: str) -> Sequence[Any]:
    """Ask the database itself, beside the product."""
    return ask(install.url, sql)


def ask(url: str, sql: str) -> Sequence[Any]:
    """Ask the database at *url*."""
    path = sqlite_path(url)
    if path:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchall()
    with psycopg.connect(url) as server:
        return server.execute(sql).fetchall()


def settings(install: Install) -> dict[str, str]:
    """Read back what the product's own connections are set to. Raises NotDurable where a commit may be lost."""
    return sqlite_settings(install) if install.embedded else postgres_settings(install)


def sqlite_settings(install: Install) -> dict[str, str]:
    path = install.data / "opentill.db"
    with closing(product_sqlite.connect(path, Options())) as ours, closing(raw_sqlite.connect(path)) as raw:
        found, beside = pragmas(ours), pragmas(raw)
    if found["journal_mode"] != "wal" or found["synchronous"] != SQLITE_FULL:
        raise NotDurable(f"SQLite is set to {found['journal_mode']}, synchronous {found['synchronous']}")
    if found != beside:
        raise NotDurable(f"the product and the raw loop differ: {found} and {beside}")
    return {name: str(value) for name, value in found.items()} | {"synchronous": "full"}


def pragmas(connection: sqlite3.Connection) -> dict[str, Any]:
    return {name: connection.execute(f"pragma {name}").fetchone()[0] for name in PRAGMAS}


def postgres_settings(install: Install) -> dict[str, str]:
    with closing(connect_postgres(install.database_url, Options())) as connection:
        found = {
            name: next(iter(connection.execute(f"show {name}".encode()).fetchone().values()))  # type: ignore[union-attr]
            for name in (*DURABLE, "default_transaction_isolation")
        }
    lax = [name for name in DURABLE if found[name] != "on"]
    if lax:
        raise NotDurable(f"the product's connections have {', '.join(lax)} off")
    return found
