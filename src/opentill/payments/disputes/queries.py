"""Reading disputes for APIs and screens. Read-only."""

from collections.abc import Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.db.listing import Listing
from opentill.kernel.clock import iso_seconds
from opentill.kernel.money import render
from opentill.kernel.owner import Owner
from opentill.payments.disputes.model import ShownDispute
from opentill.payments.disputes.store import COLUMNS, as_dispute
from opentill.payments.queries import UUID_FORM, Filters, narrowed

_TABLES: Final = "dispute d join payment p on p.id = d.payment_id"
_SHOWN: Final = f"select {COLUMNS}, p.reference, p.uuid as payment_uuid from {_TABLES}"


def find(tx: ReadTx, uuid: str, *, owner: Owner) -> ShownDispute | None:
    """Return an owner's dispute by its UUID."""
    if UUID_FORM.fullmatch(uuid) is None:
        return None
    row = Listing(owner, "d").where("d.uuid = :uuid", uuid=uuid.lower()).newest(tx, _SHOWN)
    return _as_shown(row) if row else None


def page(
    tx: ReadTx, filters: Filters, *, owner: Owner, limit: int, offset: int = 0, before: int | None = None
) -> Sequence[ShownDispute]:
    """Return up to *limit* disputes, newest first: those with ids below *before*, or after *offset* of them."""
    rows = _listing(filters, owner).page(tx, _SHOWN, limit=limit, offset=offset, before=before)
    return [_as_shown(row) for row in rows]


def count(tx: ReadTx, filters: Filters, *, owner: Owner) -> int:
    """Return how many of an owner's disputes pass the filters."""
    return _listing(filters, owner).count(tx, _TABLES)


def dispute_object(shown: ShownDispute) -> dict[str, Any]:
    """Return the dispute object (merchant-api.md §9.10)."""
    dispute = shown.dispute
    return {
        "id": dispute.id,
        "uuid": dispute.uuid,
        "transaction_id": dispute.payment_id,
        "trx_id": shown.reference,
        "payment_id": shown.payment_uuid,
        "amount": render(dispute.amount),
        "currency": dispute.amount.currency.code,
        "reason": dispute.reason,
        "status": dispute.status.value,
        "evidence_due_at": iso_seconds(dispute.evidence_due_at) if dispute.evidence_due_at is not None else None,
        "resolved_at": iso_seconds(dispute.resolved_at) if dispute.resolved_at is not None else None,
        "created_at": iso_seconds(dispute.created_at),
        "updated_at": iso_seconds(dispute.updated_at),
    }


def _listing(filters: Filters, owner: Owner) -> Listing:
    return narrowed(filters, owner, "d").one_of("d.status", filters.statuses)


def _as_shown(row: Row) -> ShownDispute:
    return ShownDispute(as_dispute(row), row["reference"], row["payment_uuid"])
