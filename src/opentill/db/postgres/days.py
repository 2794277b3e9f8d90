"""Dropping days of a table that is partitioned by them, without keeping anybody waiting.

A day is detached concurrently, which waits for whoever reads it but stops nobody, and then dropped. Detaching cannot
be inside a transaction, so a connection of its own does it. What was interrupted is finished by the next.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

CONNECT_TIMEOUT_S: Final = 3
LOCK_TIMEOUT: Final = "2s"  # rather later than in anybody's way

# Also days that were detached by somebody who died before dropping them: they are nobody's partition any more.
_DAYS: Final = """
    select cast(c.oid as regclass) as name, i.inhdetachpending as pending
      from pg_class log
      join pg_class c on c.relnamespace = log.relnamespace and c.relkind = 'r'
       and starts_with(c.relname, log.relname || '_') and c.relname < %s
      left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = log.oid
     where log.oid = cast(%s as regclass)
     order by c.relname
"""


async def drop_days(url: str, table: str, *, before: str) -> list[str]:
    """Drop the partitions of a table whose names sort before *before*; return their names."""
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="opentill retention"
    ) as connection:
        await connection.execute(sql.SQL("set lock_timeout = {}").format(LOCK_TIMEOUT))
        found: Sequence[Any] = await (await connection.execute(_DAYS, (before, table))).fetchall()
        for name, pending in found:
            names = {"table": sql.Identifier(table), "day": sql.Identifier(str(name))}
            if pending is not None:
                how = sql.SQL("finalize" if pending else "concurrently")
                detach = sql.SQL("alter table {table} detach partition {day} {how}")
                await connection.execute(detach.format(**names, how=how))
            await connection.execute(sql.SQL("drop table if exists {day}").format(**names))
        return [str(name) for name, _ in found]
