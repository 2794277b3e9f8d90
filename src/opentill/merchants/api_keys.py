"""The life of a key of the merchant API (merchant-api.md §2.1, §16.2).

    active ↔ locked → revoked, and active → expired by the clock. Revoked is final.

Every function but `hash_of` is a use case: what it does to a key is refused unless the key is its owner's.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret
from opentill.merchants import store
from opentill.merchants.model import DEFAULT_SCOPES, SCOPES, ApiKey, Dialect

NAME: Final = "Default"
OVERLAP_S: Final = 24 * 3600  # a rotated key goes on working for this long, unless another time is chosen
OVERLAP_MAX_S: Final = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """What is chosen when a key is made."""

    name: str = NAME
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    expires_at: Instant | None = None
    rate_limit: int | None = None
    allowed_ips: tuple[str, ...] = ()
    dialect: Dialect = "auto"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. *text* is shown once and never stored."""

    id: int
    prefix: str
    text: Secret


def create(tx: Tx, draft: KeyDraft, *, owner: Owner, ids: Ids, now: Instant) -> NewKey:
    """Make a key."""
    prefix = ids.hex(8)
    text = f"op_{prefix}.{ids.hex(48)}"
    key_id = store.insert_api_key(
        tx,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        name=draft.name,
        prefix=prefix,
        key_hash=hash_of(text),
        scopes=json.dumps([scope for scope in SCOPES if scope in draft.scopes]),
        dialect=draft.dialect,
        rate_limit=draft.rate_limit,
        allowed_ips=json.dumps(list(draft.allowed_ips)),
        expires_at=draft.expires_at,
        now=now,
    )
    return NewKey(key_id, prefix, Secret(text))


def rotate(
    tx: Tx, key_id: int, *, owner: Owner, ids: Ids, now: Instant, overlap_s: int = OVERLAP_S
) -> tuple[ApiKey, NewKey]:
    """Make a key that takes over; the old one works for *overlap_s* more. Return both.

    Raises NotFound, Conflict unless the old key is active, Invalid for an overlap beyond thirty days.
    """
    if not 0 <= overlap_s <= OVERLAP_MAX_S:
        raise Invalid([Fault("overlap_seconds", "VALIDATION_FAILED", "The overlap is at most 30 days.")])
    old = _active(tx, key_id, owner, now)
    draft = KeyDraft(
        old.name,
        tuple(scope for scope in SCOPES if scope in old.scopes),
        rate_limit=old.rate_limit,
        allowed_ips=old.allowed_ips,
        dialect=old.dialect,
    )
    new = create(tx, draft, owner=owner, ids=ids, now=now)
    ends_at = after(now, overlap_s * SECOND)
    if old.expires_at is not None:
        ends_at = min(ends_at, old.expires_at)
    store.change_api_key(tx, old.id, expires_at=ends_at, replaced_by=new.id)
    return old, new


def lock(tx: Tx, key_id: int, *, owner: Owner, now: Instant) -> ApiKey:
    """Refuse a key until it is unlocked. Raises NotFound, Conflict unless it is active."""
    key = _active(tx, key_id, owner, now)
    store.change_api_key(tx, key.id, status="locked")
    return key


def lock_all(tx: Tx, *, owner: Owner) -> int:
    """Lock every active key of an owner, for emergencies; return how many those were."""
    return store.lock_all_api_keys(tx, owner=owner)


def unlock(tx: Tx, key_id: int, *, owner: Owner) -> ApiKey:
    """Take a locked key back into service. Raises NotFound, Conflict unless it is locked."""
    key = _held(tx, key_id, owner)
    if key.status != "locked":
        raise Conflict("INVALID_STATE", "This API key is %(status)s, not locked.", status=key.status)
    store.change_api_key(tx, key.id, status="active")
    return key


def narrow(tx: Tx, key_id: int, scopes: Sequence[str], *, owner: Owner, now: Instant) -> ApiKey:
    """Take scopes away from a key. Raises NotFound, Conflict unless it is active, Invalid where one would be added."""
    key = _active(tx, key_id, owner, now)
    if not scopes or not key.scopes.issuperset(scopes):
        raise Invalid([Fault("scopes", "INVALID_SCOPES", "Scopes of a key can be narrowed, never widened.")])
    store.change_api_key(tx, key.id, scopes=json.dumps([scope for scope in SCOPES if scope in scopes]))
    return key


def limit(
    tx: Tx, key_id: int, *, rate_limit: int | None, allowed_ips: Sequence[str], owner: Owner, now: Instant
) -> ApiKey:
    """Give a key another limit per minute and another allow-list; return it as it was.

    Raises NotFound, Conflict unless it is active.
    """
    key = _active(tx, key_id, owner, now)
    store.change_api_key(tx, key.id, rate_limit=rate_limit, allowed_ips=json.dumps(list(allowed_ips)))
    return key


def revoke(tx: Tx, key_id: int, *, owner: Owner) -> ApiKey:
    """End a key for good and return it. Raises NotFound, `AlreadyRevoked`."""
    key = _held(tx, key_id, owner)
    if key.status == "revoked":
        raise AlreadyRevoked
    store.change_api_key(tx, key.id, status="revoked")
    return key


class AlreadyRevoked(Conflict):
    """The key has been ended before."""

    def __init__(self) -> None:
        super().__init__("KEY_REVOCATION_FAILED", "This API key is revoked already.")


def hash_of(text: str) -> str:
    """Return what is stored of a key's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _active(tx: Tx, key_id: int, owner: Owner, now: Instant) -> ApiKey:
    key = _held(tx, key_id, owner)
    if key.status != "active" or key.expired(now):
        status = "expired" if key.status == "active" else key.status
        raise Conflict("INVALID_STATE", "This API key is %(status)s.", status=status)
    return key


def _held(tx: Tx, key_id: int, owner: Owner) -> ApiKey:
    key = store.lock_api_key(tx, key_id, owner=owner)
    if key is None:
        raise NotFound("KEY_NOT_FOUND", "No such API key.")
    return key
