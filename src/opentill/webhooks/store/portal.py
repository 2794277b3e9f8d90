"""Rows of portal links and of the browsers that opened them (webhooks.md §12)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was given out."""

    jti: str
    owner: Owner
    endpoints: tuple[str, ...]
    rights: tuple[str, ...]
    created_by: str
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None
    uses: int
    used_at: Instant | None

    def state(self, now: Instant) -> str:
        """Return one word: active, revoked, expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that opened a link."""

    link: Link
    seen_at: Instant
    expires_at: Instant


_LINK = """l.jti, l.merchant_id, l.mode, l.endpoints, l.rights, l.created_by, l.created_at, l.expires_at,
               l.revoked_at, l.uses, l.used_at"""


def insert(tx: Tx, link: Link) -> None:
    tx.run(
        """
        insert into portal_link (jti, merchant_id, mode, endpoints, rights, created_by, created_at, expires_at)
        values (:jti, :merchant_id, :mode, :endpoints, :rights, :created_by, :created_at, :expires_at)
        """,
        jti=link.jti,
        merchant_id=link.owner.merchant_id,
        mode=int(link.owner.mode),
        endpoints=json.dumps(link.endpoints),
        rights=json.dumps(link.rights),
        created_by=link.created_by,
        created_at=link.created_at,
        expires_at=link.expires_at,
    )


def of_owner(tx: ReadTx, owner: Owner, *, now: Instant, limit: int) -> list[Link]:
    """Return an owner's links, those that still work first, each newest first."""
    found = tx.all(
        f"""
        select {_LINK} from portal_link l
         where l.merchant_id = :merchant_id and l.mode = :mode
         order by case when l.revoked_at is null and l.expires_at > :now then 0 else 1 end, l.created_at desc, l.jti
         limit :limit
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        now=now,
        limit=limit,
    )
    return [_as_link(row) for row in found]


def revoke(tx: Tx, owner: Owner, jti: str, *, now: Instant) -> bool:
    """Revoke a link of an owner; tell whether there is one."""
    changed = tx.run(
        """
        update portal_link set revoked_at = coalesce(revoked_at, :now)
         where jti = :jti and merchant_id = :merchant_id and mode = :mode
        """,
        jti=jti,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        now=now,
    )
    return changed > 0


def use(tx: Tx, jti: str, *, now: Instant) -> bool:
    """Count a use of a link that still holds; tell whether it does."""
    changed = tx.run(
        """
        update portal_link set uses = uses + 1, used_at = :now
         where jti = :jti and revoked_at is null and expires_at > :now
        """,
        jti=jti,
        now=now,
    )
    return changed > 0


def insert_session(tx: Tx, token_hash: str, jti: str, *, now: Instant) -> None:
    """Insert a session that lives as long as its link."""
    tx.run(
        """
        insert into portal_session (token_hash, jti, seen_at, expires_at)
        select :token_hash, jti, :now, expires_at from portal_link where jti = :jti
        """,
        token_hash=token_hash,
        jti=jti,
        now=now,
    )


def session(tx: ReadTx, token_hash: str) -> Session | None:
    row = tx.one_or_none(
        f"""
        select {_LINK}, s.seen_at, s.expires_at as session_expires_at
          from portal_session s join portal_link l on l.jti = s.jti where s.token_hash = :token_hash
        """,
        token_hash=token_hash,
    )
    if row is None:
        return None
    return Session(_as_link(row), Instant(row["seen_at"]), Instant(row["session_expires_at"]))


def touch(tx: Tx, token_hash: str, *, now: Instant) -> None:
    tx.run("update portal_session set seen_at = :now where token_hash = :token_hash", token_hash=token_hash, now=now)


def delete_session(tx: Tx, token_hash: str) -> None:
    tx.run("delete from portal_session where token_hash = :token_hash", token_hash=token_hash)


def delete_expired(tx: Tx, *, before: Instant, most: int) -> int:
    """Delete sessions that ended before an instant; return how many. Links stay, as a trace of who could see what."""
    return tx.run(
        """
        delete from portal_session
         where token_hash in (select token_hash from portal_session where expires_at < :before limit :most)
        """,
        before=before,
        most=most,
    )


def endpoints_of(tx: ReadTx, owner: Owner, names: Sequence[str]) -> set[str]:
    """Return which of these endpoints an owner has."""
    found = tx.all(
        """
        select public_id from webhook_endpoint
         where merchant_id = :merchant_id and mode = :mode and kind = 0 and state <> 3
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return {row["public_id"] for row in found} & set(names)


def _as_link(row: Row) -> Link:
    return Link(
        jti=row["jti"],
        owner=Owner(int(row["merchant_id"]), Mode(row["mode"])),
        endpoints=tuple(json.loads(row["endpoints"])),
        rights=tuple(json.loads(row["rights"])),
        created_by=row["created_by"],
        created_at=Instant(row["created_at"]),
        expires_at=Instant(row["expires_at"]),
        revoked_at=row["revoked_at"],
        uses=int(row["uses"]),
        used_at=row["used_at"],
    )
