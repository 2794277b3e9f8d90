"""Finding and listing invoices. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.db.listing import Listing
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.invoices import store
from opentill.payments.invoices.model import Invoice
from opentill.payments.queries import TOKEN_FORM, UUID_FORM

LATE = "(i.due_until_at is not null and i.due_until_at <= :now)"
SHOWN = {  # what a status stands for in SQL
    "draft": "i.status = 'draft'",
    "sent": f"(i.status = 'sent' and not {LATE})",
    "overdue": f"(i.status = 'sent' and {LATE})",
    "paid": "i.status = 'paid'",
    "cancelled": "i.status = 'cancelled'",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of invoices is narrowed to; None means anything (merchant-api.md §8)."""

    statuses: tuple[str, ...] | None = None
    since: Instant | None = None
    before: Instant | None = None  # exclusive
    number: str | None = None
    payment_uuid: str | None = None


def find(tx: ReadTx, uuid: str, *, owner: Owner, keyring: Keyring) -> Invoice | None:
    """Return an owner's invoice by UUID."""
    if not UUID_FORM.fullmatch(uuid):
        return None
    return store.one(tx, "i.uuid = :uuid", owner=owner, keyring=keyring, uuid=uuid.lower())


def by_token(tx: ReadTx, token: str, *, keyring: Keyring) -> Invoice | None:
    """Return the invoice a page's address names. Who knows the address may see and pay it; no owner is asked for."""
    if not TOKEN_FORM.fullmatch(token):
        return None
    row = tx.one_or_none(f"{store.INVOICE} where i.token = :token", token=token)
    return store.as_invoice(row, keyring) if row else None


def page(
    tx: ReadTx,
    filters: Filters,
    *,
    owner: Owner,
    keyring: Keyring,
    now: Instant,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> Sequence[Invoice]:
    """Return up to *limit* invoices, newest first: those with ids below *before*, or after *offset* of them."""
    rows = _listing(filters, owner, now).page(tx, store.INVOICE, limit=limit, offset=offset, before=before)
    return [store.as_invoice(row, keyring) for row in rows]


def count(tx: ReadTx, filters: Filters, *, owner: Owner, now: Instant) -> int:
    """Return how many of an owner's invoices pass the filters."""
    return _listing(filters, owner, now).count(tx, "invoice i")


def _listing(filters: Filters, owner: Owner, now: Instant) -> Listing:
    listing = Listing(owner, "i").created(filters.since, filters.before)
    listing.asked("i.number = :number", number=filters.number)
    listing.asked(
        "exists (select 1 from payment q where q.invoice_id = i.id and q.uuid = :payment_uuid)",
        payment_uuid=filters.payment_uuid,
    )
    return listing.shown_as(filters.statuses, SHOWN, now=now)
