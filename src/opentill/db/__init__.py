"""The database: one runner for SQLite, one for PostgreSQL, and the transaction that every store is written against.

async with open_database("sqlite:///opentill.db") as db:
    payment = await db.write(lambda tx: service.create(tx, …))
"""

from pathlib import Path

from opentill.db import sqlite
from opentill.db.database import Database, Options
from opentill.db.errors import (
    CheckViolation,
    DatabaseError,
    IntegrityViolation,
    Overloaded,
    Unavailable,
    UniqueViolation,
)
from opentill.db.trace import TracedDatabase
from opentill.db.transaction import Dialect, ReadTx, Row, Tx
from opentill.db.unit import TooManyRows
from opentill.db.url import sqlite_path

__all__ = [
    "CheckViolation",
    "Database",
    "DatabaseError",
    "Dialect",
    "IntegrityViolation",
    "Options",
    "Overloaded",
    "ReadTx",
    "Row",
    "TooManyRows",
    "Tx",
    "Unavailable",
    "UniqueViolation",
    "open_database",
]


def open_database(
    url: str,
    *,
    options: Options = Options(),  # noqa: B008 - frozen
    trace: str = "",
) -> Database:
    """Return the database at *url* (see `db/url.py`), not yet started. *trace* names a file for `db/trace.py`."""
    path = sqlite_path(url)
    if path is None:
        from opentill.db import postgres  # costs memory and start-up time that SQLite has no use for

        driver = postgres.driver(url, options)
    else:
        driver = sqlite.driver(path, options)
    return TracedDatabase(driver, options, Path(trace)) if trace else Database(driver, options)
