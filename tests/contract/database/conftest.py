"""Two small tables to exercise the runners with."""

import pytest

from opentill.db import Database, Tx
from opentill.db.dialect import ddl

TABLES = (
    """
    create table account (
      id      bigint generated always as identity primary key,
      name    text   not null unique,
      balance bigint not null default 0 constraint never_negative check (balance >= 0)
    )
    """,
    """
    create table entry (
      id         bigint generated always as identity primary key,
      account_id bigint not null references account deferrable initially deferred,
      amount     bigint not null
    )
    """,
)


@pytest.fixture
async def bank(database: Database) -> Database:
    """A database with accounts and entries, which are empty."""
    await database.write(create_tables)
    return database


def create_tables(tx: Tx) -> None:
    for table in TABLES:
        tx.run(ddl(tx.dialect, table))
