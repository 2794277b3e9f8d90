"""Finding and listing customers. Read-only; who was erased is not there."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.db.listing import Listing
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.customers import store
from opentill.payments.customers.model import Customer
from opentill.payments.queries import UUID_FORM


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of customers is narrowed to; None means anything."""

    since: Instant | None = None
    before: Instant | None = None  # exclusive
    email: str | None = None
    phone: str | None = None


def find(tx: ReadTx, identifier: str, *, owner: Owner, keyring: Keyring) -> Customer | None:
    """Return an owner's customer: with `@` by e-mail address, in UUID form by that, else the newest of a phone."""
    if "@" in identifier:
        hashed = store.email_hash(identifier, keyring)
        return store.one(tx, "email_hash = :hash", owner=owner, keyring=keyring, hash=hashed)
    if UUID_FORM.fullmatch(identifier):
        return store.one(tx, "uuid = :uuid", owner=owner, keyring=keyring, uuid=identifier.lower())
    phone = store.phone_hash(identifier, keyring)
    return store.one(tx, "phone_hash = :hash", owner=owner, keyring=keyring, hash=phone) if phone else None


def by_id(tx: ReadTx, customer_id: int, *, owner: Owner, keyring: Keyring) -> Customer | None:
    return store.one(tx, "id = :id", owner=owner, keyring=keyring, id=customer_id)


def page(
    tx: ReadTx,
    filters: Filters,
    *,
    owner: Owner,
    keyring: Keyring,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> Sequence[Customer]:
    """Return up to *limit* customers, newest first: those with ids below *before*, or after *offset* of them."""
    rows = _listing(filters, owner, keyring).page(tx, store.CUSTOMER, limit=limit, offset=offset, before=before)
    return [store.as_customer(row, keyring) for row in rows]


def count(tx: ReadTx, filters: Filters, *, owner: Owner, keyring: Keyring) -> int:
    """Return how many of an owner's customers pass the filters."""
    return _listing(filters, owner, keyring).count(tx, "customer")


def _listing(filters: Filters, owner: Owner, keyring: Keyring) -> Listing:
    listing = store.known(owner).created(filters.since, filters.before)
    if filters.email is not None:
        listing.where("email_hash = :email_hash", email_hash=store.email_hash(filters.email, keyring))
    if filters.phone is not None:  # one without digits is nobody's
        listing.where("phone_hash = :phone_hash", phone_hash=store.phone_hash(filters.phone, keyring) or "")
    return listing
