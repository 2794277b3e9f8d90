"""Letters for screens and loops. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row
from opentill.kernel.clock import Instant
from opentill.mail.model import MailState

PAGE_MAX: Final = 100
COUNTED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How many letters wait, since when the oldest does, and what the newest try ended with."""

    waiting: int
    since: Instant | None
    last_error: str | None


def is_due(tx: ReadTx, *, now: Instant) -> bool:
    """Tell whether a sender has something to do."""
    return tx.one_or_none("select id from mail where due_at <= :now limit 1", now=now) is not None


def standing(tx: ReadTx) -> Standing:
    """Look at what is under way; at most so many letters are counted."""
    rows = tx.all(
        f"select created_at, last_error from mail where due_at is not null order by due_at, id limit {COUNTED_MAX}"
    )
    return Standing(
        waiting=len(rows),
        since=min((Instant(row["created_at"]) for row in rows), default=None),
        last_error=next((row["last_error"] for row in rows if row["last_error"]), None),
    )


def page(tx: ReadTx, *, limit: int = PAGE_MAX, before: int | None = None) -> Sequence[tuple[Row, MailState]]:
    """Return letters of the whole installation, newest first, below the id *before*. None says to whom it went."""
    rows = tx.all(
        """
        select m.id, m.kind, m.told, m.state, m.attempts, m.last_error, m.created_at, m.ended_at, b.name as merchant
          from mail m left join merchant b on b.id = m.merchant_id
         where m.id < :before order by m.id desc limit :limit
        """,
        before=before if before is not None else 2**62,
        limit=min(limit, PAGE_MAX),
    )
    return [(row, MailState(row["state"])) for row in rows]
