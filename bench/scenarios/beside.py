"""Statements beside the running product, on its own database: what a round needs is put there by them."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from bench.product import Install


@contextmanager
def statements(install: Install) -> Iterator[Callable[..., None]]:
    """Run statements beside the product, those of one call in one transaction."""
    connection: Any
    if install.embedded:
        connection = sqlite3.connect(install.data / "opentill.db", timeout=30, isolation_level=None)
    else:
        connection = psycopg.connect(install.database_url, autocommit=True)

    def run(*texts: str) -> None:
        for text in ("begin", *texts, "commit"):
            connection.execute(text)

    with closing(connection):
        yield run
