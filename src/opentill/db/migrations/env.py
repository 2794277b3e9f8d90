"""Alembic's environment: opens the database, lets one process migrate at a time, and runs the revisions.

On SQLite all pending revisions are one transaction. On PostgreSQL each is one, so that a revision may leave its
transaction for what cannot be inside one (`create index concurrently`).
"""

import sqlite3
from functools import partial
from pathlib import Path

import psycopg
from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from opentill.db import sqlite
from opentill.db.database import Options
from opentill.db.url import sqlite_path

MIGRATION_LOCK = 0x6F70656E74696C6C  # "opentill", the advisory lock of whoever migrates
WAIT_FOR_OTHERS_S = 600.0

url: str = context.config.attributes["url"]
path = sqlite_path(url)


def main() -> None:
    engine = create_engine(
        "postgresql+psycopg://" if path is None else "sqlite://",
        creator=open_postgres if path is None else partial(open_sqlite, path),
        poolclass=NullPool,
    )
    if path is not None:
        event.listen(engine, "begin", begin_immediately)
    with engine.connect() as connection:
        context.configure(connection, transactional_ddl=True, transaction_per_migration=path is None)
        with context.begin_transaction():
            context.run_migrations()


def open_postgres() -> psycopg.Connection[tuple[object, ...]]:
    """Connect and wait until no other process migrates; the lock ends with the connection."""
    connection = psycopg.connect(url, application_name="opentill migrate")
    connection.execute("select pg_advisory_lock(%s)", (MIGRATION_LOCK,))
    connection.commit()
    return connection


def open_sqlite(path: Path) -> sqlite3.Connection:
    """Connect without enforcing foreign keys, as SQLite asks for while tables are rebuilt."""
    connection = sqlite.connect(path, Options(lock_timeout_s=WAIT_FOR_OTHERS_S))
    connection.row_factory = None
    connection.execute("pragma foreign_keys = off")
    return connection


def begin_immediately(connection: Connection) -> None:
    """Wait until no other process writes, before reading which revisions are missing."""
    connection.exec_driver_sql("begin immediate")


main()
