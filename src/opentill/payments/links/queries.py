"""Finding and listing payment links. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.db.listing import Listing
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.payments.links import store
from opentill.payments.links.model import Link
from opentill.payments.queries import UUID_FORM

ENDED = "((expires_at is not null and expires_at <= :now) or (max_uses is not null and use_count >= max_uses))"
SHOWN = {  # what a status stands for in SQL
    "inactive": "status = 'inactive'",
    "expired": f"(status = 'active' and {ENDED})",
    "active": f"(status = 'active' and not {ENDED})",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of links is narrowed to; None means anything (merchant-api.md §8)."""

    statuses: tuple[str, ...] | None = None
    gateway: str | None = None
    since: Instant | None = None
    before: Instant | None = None  # exclusive


def find(tx: ReadTx, ref: str, *, owner: Owner) -> Link | None:
    """Return an owner's link by UUID or slug."""
    if UUID_FORM.fullmatch(ref):
        found = _one(tx, "uuid = :value", ref.lower(), owner)
        if found is not None:
            return found
    return _one(tx, "slug = :value", ref, owner)  # a slug may look like a UUID


def by_slug(tx: ReadTx, slug: str) -> Link | None:
    """Return the link of a public address. Who knows the address may pay; no owner is asked for."""
    row = tx.one_or_none(f"{store.LINK} where slug = :slug", slug=slug)
    return store.as_link(row) if row else None


def page(
    tx: ReadTx,
    filters: Filters,
    *,
    owner: Owner,
    now: Instant,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> Sequence[Link]:
    """Return up to *limit* links, newest first: those with ids below *before*, or after *offset* of them."""
    rows = _listing(filters, owner, now).page(tx, store.LINK, limit=limit, offset=offset, before=before)
    return [store.as_link(row) for row in rows]


def count(tx: ReadTx, filters: Filters, *, owner: Owner, now: Instant) -> int:
    """Return how many of an owner's links pass the filters."""
    return _listing(filters, owner, now).count(tx, "payment_link")


def _one(tx: ReadTx, clause: str, value: str, owner: Owner) -> Link | None:
    row = Listing(owner, "payment_link").where(clause, value=value).newest(tx, store.LINK)
    return store.as_link(row) if row else None


def _listing(filters: Filters, owner: Owner, now: Instant) -> Listing:
    listing = Listing(owner, "payment_link").created(filters.since, filters.before)
    listing.asked("gateway = :gateway", gateway=filters.gateway)
    return listing.shown_as(filters.statuses, SHOWN, now=now)
