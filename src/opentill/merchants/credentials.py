"""PIX credentials as those who manage them see them: listed, changed, rotated and revoked (pix-api.md §3)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.merchants import service
from opentill.merchants.model import KEY_EXPIRING


@dataclass(frozen=True, slots=True)
class ListedCredential:
    """A credential without its secret."""

    id: int
    client_id: str
    name: str
    permissions: tuple[str, ...]
    check_ips: bool
    allowed_ips: tuple[str, ...]
    status: str
    expires_at: Instant | None
    last_used_at: Instant | None
    created_at: Instant
    old_secret_until_at: Instant | None

    def shown_state(self, now: Instant) -> str:
        """Return active, expiring, expired or revoked."""
        if self.status == "revoked" or self.expires_at is None:
            return self.status
        if now >= self.expires_at:
            return "expired"
        return "expiring" if self.expires_at - now < KEY_EXPIRING else self.status


@dataclass(frozen=True, slots=True)
class EndingCredential:
    """A credential that ends soon, and whose it is."""

    client_id: str
    merchant_id: int
    slug: str
    merchant: str
    label: str
    expires_at: Instant


def of(tx: ReadTx, *, owner: Owner) -> Sequence[ListedCredential]:
    """Return an owner's credentials, newest first; revoked ones last."""
    rows = tx.all(
        f"""
        {_CREDENTIAL} where merchant_id = :merchant_id and mode = :mode
         order by case when status = 'revoked' then 1 else 0 end, id desc limit 500
        """,
        **owner.columns,
    )
    return [_as_credential(row) for row in rows]


def one(tx: ReadTx, client_id: str, *, owner: Owner) -> ListedCredential:
    """Return one of an owner's credentials. Raises NotFound."""
    row = tx.one_or_none(
        f"{_CREDENTIAL} where client_id = :client_id and merchant_id = :merchant_id and mode = :mode",
        client_id=client_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    if row is None:
        raise NotFound("CREDENTIAL_NOT_FOUND", "No such credential.")
    return _as_credential(row)


def ending(tx: ReadTx, *, now: Instant, until: Instant) -> Sequence[EndingCredential]:
    """Return the credentials of all merchants that are in service and end by *until*."""
    rows = tx.all(
        """
        select c.client_id, c.merchant_id, m.slug, m.name as merchant, c.name as label, c.expires_at
          from pix_credential c join merchant m on m.id = c.merchant_id
         where c.status = 'active' and c.expires_at > :now and c.expires_at <= :until
         order by c.expires_at, c.id limit 500
        """,
        now=now,
        until=until,
    )
    return [EndingCredential(**row) for row in rows]


def set_access(
    tx: Tx, client_id: str, *, permissions: Sequence[str], allowed_ips: Sequence[str], owner: Owner
) -> ListedCredential:
    """Say what a credential may do and from where; return it as it was.

    A live one without an address works from nowhere, one of the sandbox from everywhere. Raises NotFound.
    """
    before = one(tx, client_id, owner=owner)
    changed = tx.run(
        """
        update pix_credential set permissions = :permissions, allowed_ips = :allowed_ips, check_ips = :check_ips
         where client_id = :client_id and merchant_id = :merchant_id and mode = :mode and status <> 'revoked'
        """,
        permissions=json.dumps(list(permissions)),
        allowed_ips=json.dumps(list(allowed_ips)),
        check_ips=int(owner.mode is Mode.LIVE or bool(allowed_ips)),
        client_id=client_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    _require(changed)
    return before


def rotate(tx: Tx, client_id: str, *, overlap_s: int, owner: Owner, ids: Ids, keyring: Keyring, now: Instant) -> Secret:
    """Give a credential a new secret and return it, this once; the old one works for *overlap_s* more.

    Raises NotFound where the owner has none of that id that is not revoked.
    """
    secret = service.new_secret(owner, ids)
    changed = tx.run(
        """
        update pix_credential
           set old_secret_hash = case when :overlap_s > 0 then secret_hash end,
               old_secret_until_at = case when :overlap_s > 0 then :until end,
               secret_hash = :secret_hash
         where client_id = :client_id and merchant_id = :merchant_id and mode = :mode and status <> 'revoked'
        """,
        overlap_s=overlap_s,
        until=after(now, overlap_s * SECOND),
        secret_hash=keyring.keyed_hash(secret.reveal(), service.SECRET_PURPOSE),
        client_id=client_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    _require(changed)
    return secret


def revoke(tx: Tx, client_id: str, *, owner: Owner) -> None:
    """End a credential for good. Raises NotFound where the owner has none of that id that is not revoked."""
    ended = tx.run(
        """
        update pix_credential set status = 'revoked'
         where client_id = :client_id and merchant_id = :merchant_id and mode = :mode and status <> 'revoked'
        """,
        client_id=client_id,
        **owner.columns,
    )
    _require(ended)


def _require(changed: int) -> None:
    if not changed:
        raise NotFound("CREDENTIAL_NOT_FOUND", "No such credential, or it is revoked already.")


_CREDENTIAL: Final = """
        select id, client_id, name, permissions, check_ips, allowed_ips, status, expires_at, last_used_at, created_at,
               old_secret_until_at
          from pix_credential"""


def _as_credential(row: Row) -> ListedCredential:
    return ListedCredential(
        row["id"],
        row["client_id"],
        row["name"],
        tuple(json.loads(row["permissions"])),
        bool(row["check_ips"]),
        tuple(json.loads(row["allowed_ips"])),
        row["status"],
        row["expires_at"],
        row["last_used_at"],
        row["created_at"],
        row["old_secret_until_at"],
    )
