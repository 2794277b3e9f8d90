"""Opens connections that wait for nothing without a limit, and that answer with the types SQLite would give."""

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import dict_row
from psycopg.types.numeric import Int8Dumper

from opentill.db.database import Options
from opentill.db.errors import Unavailable

Connection = psycopg.Connection[dict[str, Any]]
Cursor = psycopg.Cursor[dict[str, Any]]

CONNECT_TIMEOUT_S = 3
SILENCE_MAX_S = 10  # a server that does not even acknowledge packets for so long is gone
STATEMENT_TIMEOUT_S = 60
IDLE_IN_TRANSACTION_S = 60  # a forgotten transaction would keep dead queue rows from being cleaned
STATEMENTS_MAX = 1024  # prepared statements kept per connection


def connect(url: str, options: Options, **settings: str) -> Connection:
    """Open a connection, with more session *settings* if wanted. Raises `Unavailable`."""
    settings = {
        "default_transaction_isolation": r"read\ committed",
        "jit": "off",  # its compiling takes longer than any statement of ours may
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
        "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        "lock_timeout": f"{round(options.lock_timeout_s * 1000)}ms",
        "timezone": "UTC",
        **settings,
    }
    try:
        connection: Connection = psycopg.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            cursor_factory=psycopg.RawCursor,
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=SILENCE_MAX_S * 1000,
            keepalives_idle=SILENCE_MAX_S,
            application_name="opentill",
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
    except psycopg.Error as error:
        raise Unavailable(f"PostgreSQL does not answer: {error}") from error
    connection.prepare_threshold = 0
    connection.prepared_max = STATEMENTS_MAX
    adapt(connection)
    return connection


def adapt(connection: Connection) -> None:
    """Give and take the same types as on SQLite."""
    types = connection.adapters
    # One type for every whole number, so that a statement is prepared once; flags are smallint.
    types.register_dumper(int, Int8Dumper)
    types.register_dumper(bool, Int8Dumper)
    types.register_loader("numeric", NumberLoader)
    types.register_loader("bool", FlagLoader)


class NumberLoader(Loader):
    """Loads a `numeric`, such as the sum of a bigint column, as a whole number where it is one."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text else int(text)


class FlagLoader(Loader):
    """Loads a condition as 0 or 1."""

    def load(self, data: Buffer) -> int:
        return int(data == b"t")
