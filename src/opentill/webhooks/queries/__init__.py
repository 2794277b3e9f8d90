"""What others read of the engine: lists, lanes that have work, figures, orphans. Read-only."""

from opentill.webhooks.queries.health import Figures, Orphans, figures, orphans
from opentill.webhooks.queries.history import AttemptRow, DeliveryRow, attempts, deliveries, delivery, payload
from opentill.webhooks.queries.lanes import waiting

__all__ = [
    "AttemptRow",
    "DeliveryRow",
    "Figures",
    "Orphans",
    "attempts",
    "deliveries",
    "delivery",
    "figures",
    "orphans",
    "payload",
    "waiting",
]
