"""What others read of the engine: lists, lanes that have work, how late it is, orphans. Read-only."""

from opentill.webhooks.queries.health import Orphans, oldest_due_us, orphans, workers_seen_at
from opentill.webhooks.queries.history import AttemptRow, DeliveryRow, attempts, deliveries, delivery, payload
from opentill.webhooks.queries.keys import published_keys
from opentill.webhooks.queries.lanes import waiting
from opentill.webhooks.store.replays import has_due as has_due_replay

__all__ = [
    "AttemptRow",
    "DeliveryRow",
    "Orphans",
    "attempts",
    "deliveries",
    "delivery",
    "has_due_replay",
    "oldest_due_us",
    "orphans",
    "payload",
    "published_keys",
    "waiting",
    "workers_seen_at",
]
