"""Dropping days of a table that is partitioned by them, without keeping anybody waiting.

A day is detached concurrently, which waits for whoever reads it but stops nobody, and then dropped. Detaching cannot
be inside a transaction, so a connection of its own does it. One that was interrupted is finished by the next.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

CONNECT_TIMEOUT_S: Final = 3
LOCK_TIMEOUT: Final = "2s"  # rather later than in anybody's way

_DAYS: Final = """
    select cast(i.inhrelid as regclass) as name, i.inhdetachpending as pending
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     where i.inhparent = cast(%s as regclass) and c.relname < %s
     order by c.relname
"""


async def drop_days(url: str, table: str, *, before: str) -> list[str]:
    """Drop the partitions of a table whose names sort before *before*; return their names."""
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="opentill retention"
    ) as connection:
        await connection.execute(sql.SQL("set lock_timeout = {}").format(LOCK_TIMEOUT))
        found: Sequence[Any] = await (await connection.execute(_DAYS, (table, before))).fetchall()
        for name, pending in found:
            how = sql.SQL("finalize" if pending else "concurrently")
            names = {"table": sql.Identifier(table), "day": sql.Identifier(str(name)), "how": how}
            await connection.execute(sql.SQL("alter table {table} detach partition {day} {how}").format(**names))
            await connection.execute(sql.SQL("drop table if exists {day}").format(**names))
        return [str(name) for name, _ in found]
