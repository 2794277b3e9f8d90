"""PostgreSQL: threads with a connection each, READ COMMITTED, explicit row locks."""

from functools import partial

from opentill.db.database import Driver, Options
from opentill.db.postgres.connection import connect
from opentill.db.postgres.session import Reader, Writer


def driver(url: str, options: Options) -> Driver:
    """Return how sessions on the database at *url* are opened."""
    return Driver(
        dialect="postgres",
        writers=options.writers,
        jobs_at_once_max=1,
        open_writer=lambda: Writer(partial(connect, url, options)),
        open_reader=lambda: Reader(partial(connect, url, options, default_transaction_read_only="on")),
    )
