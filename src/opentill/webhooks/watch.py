"""The watch: once a minute one process looks for what nobody looks after, and writes down what it found (§14).

Everybody else reads that row: health checks, metrics, screens. Its queries may take a while; theirs may not.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import MINUTE, SECOND, Instant
from opentill.webhooks.model import DeliveryState, Klass
from opentill.webhooks.queries import Orphans, orphans
from opentill.webhooks.queries.standing import delivery_counts

EVERY: Final = MINUTE
EARLY: Final = 5 * SECOND  # clocks and timers differ a little


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watch found, and when it looked."""

    at: Instant
    orphans: Orphans
    deliveries: Mapping[tuple[DeliveryState, Klass], int]


def is_due(tx: ReadTx, *, now: Instant) -> bool:
    """Tell whether nobody has looked within the last minute."""
    row = tx.one_or_none("select seen_at from webhook_watch where id = 1")
    return row is None or now - row["seen_at"] >= EVERY - EARLY


def look(tx: ReadTx, *, now: Instant) -> Seen:
    """Look at everything. For a reading transaction: it may take a while where a backlog is long."""
    return Seen(now, orphans(tx, now=now), delivery_counts(tx))


def note(tx: Tx, seen: Seen) -> None:
    """Write down what was found, unless somebody wrote later."""
    found = {
        "orphans": asdict(seen.orphans),
        "deliveries": [[int(state), int(klass), n] for (state, klass), n in seen.deliveries.items()],
    }
    tx.run(
        """
        insert into webhook_watch (id, seen_at, found) values (1, :at, :found)
        on conflict (id) do update set seen_at = :at, found = :found where webhook_watch.seen_at < :at
        """,
        at=seen.at,
        found=json.dumps(found),
    )


def last(tx: ReadTx) -> Seen | None:
    """Return what the watch found last; None if it never looked."""
    row = tx.one_or_none("select seen_at, found from webhook_watch where id = 1")
    if row is None:
        return None
    found = json.loads(row["found"])
    return Seen(
        at=Instant(row["seen_at"]),
        orphans=Orphans(**found["orphans"]),
        deliveries={(DeliveryState(state), Klass(klass)): n for state, klass, n in found["deliveries"]},
    )
