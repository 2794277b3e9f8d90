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
    wanted = {_name(day): day for day in range(today - DAYS_BEHIND, today + DAYS_AHEAD + 1)}
    if wanted.keys() <= _made(tx):
        return 0
    tx.all("select pg_advisory_xact_lock(:lock)", lock=PARTITIONS_LOCK)
    missing = sorted(wanted.keys() - _made(tx))  # another process may have made some while we waited
    for name in missing:
        _make(tx, name, wanted[name])
    return len(missing)


def first_kept(now: Instant, *, days: int) -> str:
    """Return the name of the oldest day that is kept; names sort by day."""
    return _name(now // DAY - days)


def _name(day: int) -> str:
    return f"{TABLE}_{to_datetime(Instant(day * DAY)):%Y%m%d}"


def _made(tx: Tx) -> set[str]:
    found = tx.all(
        "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = to_regclass(cast(:log as text))",
        log=TABLE,
    )
    return {row["name"] for row in found}


def _make(tx: Tx, name: str, day: int) -> None:
    """Make a day apart, then attach it: that waits for nobody. A partition made in place would wait for whoever reads
    the log, which a backup does for hours, and keep every attempt waiting behind itself."""
    tx.run(f"create table {name} (like {TABLE})")
    tx.run(f"alter table {TABLE} attach partition {name} for values from ({day * DAY}) to ({(day + 1) * DAY})")
