"""Letting somebody without an account look after endpoints: links, and the sessions of those who open them (§12)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, Instant, after, unix_seconds
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.operators import audit
from opentill.operators.model import Change
from opentill.webhooks import portal_tokens
from opentill.webhooks.model import Bounds
from opentill.webhooks.portal_tokens import Claims
from opentill.webhooks.store import portal as store
from opentill.webhooks.store.portal import Link

_ = str  # marks a text for the catalogues

RIGHTS: Final = ("read", "test", "resend", "rotate", "edit")
LIFE_DEFAULT: Final = DAY
IDLE_MAX: Final = 2 * HOUR
SEEN_EVERY: Final = MINUTE  # a busy reader is not written down at each page
JTI_HEX: Final = 24
SESSION_BYTES: Final = 32


class LinkOver(NotFound):
    """A link or session that is not one of ours, was revoked, or is over."""

    def __init__(self) -> None:
        super().__init__("PORTAL_LINK_OVER", "This link does not work any more. Ask for a new one.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: what the link they opened allows, and until when."""

    jti: str
    owner: Owner
    endpoints: tuple[str, ...]
    rights: tuple[str, ...]
    expires_at: Instant

    @property
    def actor(self) -> str:
        """Return the name in the audit log."""
        return f"portal:{self.jti}"

    def may(self, right: str) -> bool:
        return right in self.rights


def make_link(
    tx: Tx,
    *,
    owner: Owner,
    endpoints: Sequence[str],
    rights: Sequence[str],
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    by: Change,
    life: int = LIFE_DEFAULT,
    bounds: Bounds,
) -> Secret:
    """Return the token of a new link, which is not stored. *by* says who gives it out. Raises `Invalid`."""
    faults = _faults(tx, owner, endpoints, rights, life, bounds)
    if faults:
        raise Invalid(faults)
    jti, expires_at = ids.hex(JTI_HEX), after(now, life)
    listed = tuple(right for right in RIGHTS if right in {*rights, "read"})
    link = Link(jti, owner, tuple(dict.fromkeys(endpoints)), listed, by.actor, now, expires_at, None, 0, None)
    store.insert(tx, link)
    detail = {"endpoints": list(endpoints), "rights": list(listed), "expires_at": expires_at}
    audit.write(tx, _changed(by, "portal_link.create", jti, owner, detail), now=now)
    claims = Claims(
        endpoints=link.endpoints,
        exp=unix_seconds(expires_at),
        jti=jti,
        merchant=str(owner.account_id),
        mode=owner.mode.name.lower(),
        rights=listed,
    )
    return portal_tokens.write(claims, keyring)


def links(tx: ReadTx, *, owner: Owner, now: Instant, limit: int) -> list[Link]:
    """Return the links an owner gave out, those that still work first."""
    return store.of_owner(tx, owner, now=now, limit=limit)


def _faults(
    tx: ReadTx, owner: Owner, endpoints: Sequence[str], rights: Sequence[str], life: int, bounds: Bounds
) -> list[Fault]:
    faults = []
    if not endpoints or store.endpoints_of(tx, owner, endpoints) != set(endpoints):
        faults.append(Fault("endpoints", "ENDPOINT_NOT_FOUND", _("Webhook endpoint not found.")))
    if not set(rights) <= set(RIGHTS):
        faults.append(
            Fault(
                "rights", "VALIDATION_FAILED", _("Choose rights of these: %(rights)s."), {"rights": ", ".join(RIGHTS)}
            )
        )
    if not 0 < life <= bounds.portal_link_max_days * DAY:
        most = {"days": bounds.portal_link_max_days}
        faults.append(
            Fault("life", "VALIDATION_FAILED", _("Say how long the link lives: at most %(days)s days."), most)
        )
    return faults


def revoke_link(tx: Tx, *, owner: Owner, jti: str, now: Instant, by: Change) -> None:
    """End a link and every session it opened. Raises `LinkOver` where there is none."""
    if not store.revoke(tx, owner, jti, now=now):
        raise LinkOver
    audit.write(tx, _changed(by, "portal_link.revoke", jti, owner, {}), now=now)


def enter(tx: Tx, token: str, *, ids: Ids, keyring: Keyring, now: Instant, origin: str) -> Secret:
    """Exchange a link for a session, and return what its cookie holds. Raises `LinkOver`."""
    claims = portal_tokens.read(token, keyring)
    if claims is None or claims.exp <= unix_seconds(now) or not store.use(tx, claims.jti, now=now):
        raise LinkOver
    cookie = ids.token_bytes(SESSION_BYTES).hex()
    store.insert_session(tx, _hash(cookie), claims.jti, now=now)
    audit.write(tx, Change(f"portal:{claims.jti}", origin, "portal.enter", claims.jti, {}), now=now)
    return Secret(cookie)


def visitor(tx: ReadTx, cookie: str, *, now: Instant) -> tuple[Visitor, bool]:
    """Return who holds a session, and whether it is time to note that they were seen. Raises `LinkOver`."""
    session = store.session(tx, _hash(cookie))
    if (
        session is None
        or session.link.revoked_at is not None
        or session.expires_at <= now
        or now - session.seen_at > IDLE_MAX
    ):
        raise LinkOver
    link = session.link
    found = Visitor(link.jti, link.owner, link.endpoints, link.rights, session.expires_at)
    return found, now - session.seen_at >= SEEN_EVERY


def note_seen(tx: Tx, cookie: str, *, now: Instant) -> None:
    store.touch(tx, _hash(cookie), now=now)


def leave(tx: Tx, cookie: str) -> None:
    """End a session."""
    store.delete_session(tx, _hash(cookie))


def forget_sessions(tx: Tx, *, now: Instant, most: int) -> int:
    """Delete sessions that are over, at most so many; return how many."""
    return store.delete_expired(tx, before=now, most=most)


def _changed(by: Change, action: str, jti: str, owner: Owner, detail: Mapping[str, object]) -> Change:
    return Change(by.actor, by.origin, action, jti, detail, merchant_id=owner.merchant_id)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
