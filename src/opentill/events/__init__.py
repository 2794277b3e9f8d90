"""The append-only record of what happened: the outbox. Webhooks reads it; nobody calls webhooks."""

from opentill.events.model import Audience, Event
from opentill.events.service import document_of, record

__all__ = ["Audience", "Event", "document_of", "record"]
