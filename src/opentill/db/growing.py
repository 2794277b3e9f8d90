"""Finding an instant in a table whose ids grow with time, without an index on the time."""

from typing import Final

from opentill.db.transaction import ReadTx
from opentill.kernel.clock import Instant

TABLES: Final = frozenset({"payment", "journal", "receipt", "api_request"})
SLACK: Final = 1_000  # ids; rows made at once may be numbered the other way round


def first_id(tx: ReadTx, table: str, since: Instant) -> int:
    """Return an id at or a little before the first row made since an instant: some twenty looks by primary key."""
    if table not in TABLES:
        raise LookupError(table)
    # Two looks at the index: for both ends in one select SQLite reads the whole table.
    ends = f"select (select min(id) from {table}) as low, (select max(id) from {table}) as high"
    row = tx.one_or_none(f"select coalesce(low, 0) as low, coalesce(high, 0) as high from ({ends}) as ends")
    low, high = (row["low"], row["high"] + 1) if row else (0, 0)
    while low < high:
        middle = (low + high) // 2
        found = tx.all(f"select id, created_at from {table} where id >= :id order by id limit 1", id=middle)
        if found and found[0]["created_at"] < since:
            low = found[0]["id"] + 1
        else:
            high = middle
    return max(0, low - SLACK)
