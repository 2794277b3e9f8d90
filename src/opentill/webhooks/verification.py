"""The auditor of deliveries: what nobody looks after any more is a fault (webhooks.md §14)."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.webhooks.queries import Orphans, orphans, workers_seen_at

_FAULTS: Final = {
    "unplanned": "events not planned within a minute",
    "due": "deliveries ten minutes overdue although nothing holds them back",
    "sending": "deliveries held by workers whose leases have lapsed",
    "without_payload": "unfinished deliveries with neither payload nor event",
    "without_lane_or_secret": "endpoints without a lane or a current secret",
}


def find_faults(tx: ReadTx, *, now: Instant) -> Iterator[str]:
    """Say which kinds of orphans there are, and how many of each.

    What is late is late by the time a worker was last alive: where all are stopped, work waits and is no orphan.
    """
    seen_at = workers_seen_at(tx)
    found = orphans(tx, now=Instant(0) if seen_at is None else min(now, seen_at))
    for kind in fields(Orphans):
        count: int = getattr(found, kind.name)
        if count:
            yield f"{_FAULTS[kind.name]}: {count}"
