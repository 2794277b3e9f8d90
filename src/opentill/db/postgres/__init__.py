"""PostgreSQL: threads with a connection each, READ COMMITTED, explicit row locks."""

from functools import partial

import psycopg

from opentill.db.database import Driver, Options
from opentill.db.errors import Unavailable
from opentill.db.postgres.connection import CONNECT_TIMEOUT_S, connect
from opentill.db.postgres.lookups import Lookups
from opentill.db.postgres.session import Reader, Writer

# Reads a thread takes at once, where more are waiting than there are threads: waking a thread costs as much as a read.
READS_AT_ONCE_MAX = 8


def driver(url: str, options: Options) -> Driver:
    """Return how sessions on the database at *url* are opened."""
    read_only = partial(connect, url, options, default_transaction_read_only="on")
    return Driver(
        dialect="postgres",
        writers=options.writers,
        jobs_at_once_max=1,
        reads_at_once_max=READS_AT_ONCE_MAX,
        open_writer=lambda: Writer(partial(connect, url, options)),
        open_reader=lambda: Reader(read_only),
        lookups=lambda: Lookups(read_only),
    )


def stored_revision(url: str) -> str | None:
    """Return the revision of the schema, None when there is none. Raises `Unavailable`."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            if connection.execute("select to_regclass('alembic_version')").fetchone() == (None,):
                return None
            row = connection.execute("select version_num from alembic_version").fetchone()
    except psycopg.Error as error:
        raise Unavailable(f"the database does not answer: {error}") from error
    return None if row is None else str(row[0])
