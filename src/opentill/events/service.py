"""Recording: one row, in the transaction that made the fact true (webhooks.md §3.1)."""

import zlib
from typing import Any, Final

from opentill.db import Tx
from opentill.events.model import Event
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.json_text import compact, read_back

PLAIN_BYTES_MAX: Final = 2048  # longer documents are compressed; for an ordinary one it saves less than it costs
COMPRESSION: Final = 1  # the fastest: documents are small


def record(tx: Tx, event: Event, *, ids: Ids) -> str:
    """Record a fact and return its id, `evt_…`. It becomes visible, and is sent, once *tx* commits."""
    event_id = "evt_" + ids.timed_hex()
    tx.defer(
        """
        insert into event (id, merchant_id, mode, audience, type, merchant_type, pix_type,
                           object_type, object_id, occurred_at, doc, routing)
        values (:id, :merchant_id, :mode, :audience, :type, :merchant_type, :pix_type,
                :object_type, :object_id, :occurred_at, :doc, :routing)
        """,
        id=event_id,
        **event.owner.columns,
        audience=int(event.audience),
        type=event.type,
        merchant_type=event.merchant_type,
        pix_type=event.pix_type,
        object_type=event.object_type,
        object_id=event.object_id,
        occurred_at=event.at,
        doc=_packed(event),
        routing=compact(event.routing).decode() if event.routing else "{}",
    )
    tx.note_event()
    reach("event.recorded")
    return event_id


def document_of(doc: bytes) -> dict[str, Any]:
    """Read a stored document back."""
    read: dict[str, Any] = read_back(doc if doc.startswith(b"{") else zlib.decompress(doc))
    return read


def _packed(event: Event) -> bytes:
    plain = compact(event.document)
    return plain if len(plain) <= PLAIN_BYTES_MAX else zlib.compress(plain, COMPRESSION)
