"""Days of the attempt log on PostgreSQL: made ahead, so that no attempt ever lacks a place (webhooks.md §2.2)."""

from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import DAY, Instant, to_datetime

TABLE: Final = "webhook_attempt"
DAYS_AHEAD: Final = 7
DAYS_BEHIND: Final = 1  # a clock that is set back must not stop the log
PARTITIONS_LOCK: Final = 7_301_002


def keep_ahead(tx: Tx, *, now: Instant) -> int:
    """Make the partitions of the coming days that are missing; return how many were. SQLite has none."""
    if tx.dialect != "postgres":
        return 0
    today = now // DAY
    missing = [day for day in range(today - DAYS_BEHIND, today + DAYS_AHEAD + 1) if not _exists(tx, _name(day))]
    if not missing:
        return 0
    tx.all("select pg_advisory_xact_lock(:lock)", lock=PARTITIONS_LOCK)
    for day in missing:
        # Another process may have made it while we waited. `_exists` would not see that: a connection remembers
        # names it did not find until it locks something, and an advisory lock does not count.
        tx.run(
            f"""create table if not exists {_name(day)} partition of webhook_attempt
                for values from ({day * DAY}) to ({(day + 1) * DAY})"""
        )
    return len(missing)


def first_kept(now: Instant, *, days: int) -> str:
    """Return the name of the oldest day that is kept; names sort by day."""
    return _name(now // DAY - days)


def _name(day: int) -> str:
    return f"{TABLE}_{to_datetime(Instant(day * DAY)):%Y%m%d}"


def _exists(tx: Tx, name: str) -> bool:
    row = tx.one_or_none("select to_regclass(cast(:name as text)) is not null as there", name=name)
    return row is not None and bool(row["there"])
