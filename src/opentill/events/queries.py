"""Events for lists and screens. Read-only."""

import json
from collections.abc import Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.events import document_of
from opentill.kernel.owner import Owner

PAGE_MAX: Final = 200
_EVENT: Final = (
    "select seq, id, type, merchant_type, pix_type, object_type, object_id, occurred_at, plan_state from event"
)


def page(tx: ReadTx, *, owner: Owner, limit: int, before: int | None = None, type_: str | None = None) -> Sequence[Row]:
    """Return an owner's events, newest first, below the number *before*."""
    narrowed = " and type = :type" if type_ else ""
    given: dict[str, Any] = {"type": type_} if type_ else {}
    return tx.all(
        f"""
        {_EVENT}
         where merchant_id = :merchant_id and mode = :mode and seq < :before{narrowed}
         order by seq desc limit :limit
        """,
        before=before if before is not None else 2**62,
        limit=min(limit, PAGE_MAX),
        **owner.columns,
        **given,
    )


def of_object(tx: ReadTx, object_type: str, object_id: str, *, owner: Owner) -> Sequence[Row]:
    """Return what happened to one object, oldest first."""
    return tx.all(
        f"""
        {_EVENT}
         where object_type = :object_type and object_id = :object_id and merchant_id = :merchant_id and mode = :mode
         order by seq limit 200
        """,
        object_type=object_type,
        object_id=object_id,
        **owner.columns,
    )


def one(tx: ReadTx, event_id: str, *, owner: Owner) -> tuple[Row, str] | None:
    """Return an event by its `evt_…` and its document as readable JSON."""
    row = tx.one_or_none(
        """
        select seq, id, type, merchant_type, pix_type, object_type, object_id, occurred_at, plan_state, doc
          from event where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=event_id,
        **owner.columns,
    )
    if row is None:
        return None
    return row, json.dumps(document_of(bytes(row["doc"])), ensure_ascii=False, indent=2)
