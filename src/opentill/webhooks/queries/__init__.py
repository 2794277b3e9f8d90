"""What others read of the engine: lists, lanes that have work, how late it is, orphans. Read-only."""

from opentill.webhooks.queries.health import Orphans, oldest_due_us, orphans, workers_seen_at
from opentill.webhooks.queries.history import AttemptRow, DeliveryRow, attempts, deliveries, delivery, payload
from opentill.webhooks.queries.lanes import waiting

__all__ = [
    "AttemptRow",
    "DeliveryRow",
    "Orphans",
    "attempts",
    "deliveries",
    "delivery",
    "oldest_due_us",
    "orphans",
    "payload",
    "waiting",
    "workers_seen_at",
]
