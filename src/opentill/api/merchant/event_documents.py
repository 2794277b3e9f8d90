"""What the OpenAPI document says of events."""

from typing import Final

from opentill.api.merchant.documents import TEXT, TEXT_OR_NULL, TIME, listing, ok, query, reads
from opentill.api.merchant.webhook_documents import DELIVERY
from opentill.web.openapi import exactly

EVENT: Final = exactly(
    id={"type": "string", "pattern": "^evt_[0-9a-f]{24}$"},
    event=TEXT,
    payment_id=TEXT_OR_NULL,
    trx_id=TEXT_OR_NULL,
    payload={
        "type": ["object", "null"],
        "description": "The body, as receivers of this dialect get it with amounts as text; null if it is damaged.",
    },
    created_at=TIME,
    deliveries={"type": "array", "items": DELIVERY},
)
FILTERS: Final = [
    query("event", TEXT, "The event's name."),
    query("payment_id", TEXT, "A payment's UUID."),
    query("from", TEXT, "A date or a full ISO 8601 time."),
    query("to", TEXT, "The same; inclusive."),
]
LIST: Final = listing("listEvents", "List what happened, newest first", "Event", FILTERS)
SHOW: Final = reads(
    "showEvent", "Show an event with its body and deliveries", ok("Event", "The event."), bad={"404": "No such event."}
)
