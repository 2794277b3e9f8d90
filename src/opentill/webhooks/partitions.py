"""Days of the attempt log on PostgreSQL: made ahead, so that no attempt ever lacks a place (webhooks.md §2.2)."""

from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import DAY, Instant, to_datetime

DAYS_AHEAD: Final = 7
DAYS_BEHIND: Final = 1  # a clock that is set back must not stop the log
PARTITIONS_LOCK: Final = 7_301_002


def keep_ahead(tx: Tx, *, now: Instant) -> int:
    """Make the partitions of the coming days that do not exist yet; return how many. SQLite has none."""
    if tx.dialect != "postgres":
        return 0
    today = now // DAY
    wanted = range(today - DAYS_BEHIND, today + DAYS_AHEAD + 1)
    names = {_name(day): day for day in wanted}
    missing = [name for name in names if not _exists(tx, name)]
    if missing:
        tx.all("select pg_advisory_xact_lock(:lock)", lock=PARTITIONS_LOCK)
    for name in missing:
        if not _exists(tx, name):
            first = names[name] * DAY
            tx.run(f"create table {name} partition of webhook_attempt for values from ({first}) to ({first + DAY})")
    return len(missing)


def _name(day: int) -> str:
    return f"webhook_attempt_{to_datetime(Instant(day * DAY)):%Y%m%d}"


def _exists(tx: Tx, name: str) -> bool:
    row = tx.one_or_none("select to_regclass(cast(:name as text)) is not null as there", name=name)
    return row is not None and bool(row["there"])
