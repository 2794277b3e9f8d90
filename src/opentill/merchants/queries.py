"""Reading merchants for other features. Read-only."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.merchants.model import SCOPES, KeyLine
from opentill.merchants.store import readable_scopes

KEYS_MAX: Final = 1_000  # keys in one list


def outbound_allow(tx: ReadTx, owner: Owner) -> tuple[str, ...]:
    """Return the hosts and networks that an operator opened for a merchant's receivers."""
    row = tx.one_or_none("select outbound_allow from merchant where id = :id", id=owner.merchant_id)
    return tuple(json.loads(row["outbound_allow"])) if row else ()


@dataclass(frozen=True, slots=True)
class Brand:
    """A merchant as operators see it in lists and in the switcher."""

    id: int
    uuid: str
    slug: str
    name: str
    mode: Mode
    status: str
    created_at: Instant

    @property
    def owner(self) -> Owner:
        return Owner(self.id, self.mode)

    @property
    def sandbox(self) -> bool:
        return self.mode is Mode.SANDBOX


def brands(tx: ReadTx, *, among: Collection[int] | None = None) -> Sequence[Brand]:
    """Return merchants by name, all of them or those named."""
    rows = tx.all("select id, uuid, slug, name, mode, status, created_at from merchant order by name, id limit 1000")
    return [
        Brand(row["id"], row["uuid"], row["slug"], row["name"], Mode(row["mode"]), row["status"], row["created_at"])
        for row in rows
        if among is None or row["id"] in among
    ]


@dataclass(frozen=True, slots=True)
class EndingKey:
    """An API key that ends soon, with what its people must know."""

    id: int
    merchant_id: int
    slug: str
    merchant: str
    label: str
    prefix: str
    expires_at: Instant


def ending_keys(tx: ReadTx, *, now: Instant, until: Instant) -> Sequence[EndingKey]:
    """Return the keys of all merchants that are in service, end by *until*, and were not given a successor."""
    rows = tx.all(
        f"""
        select k.id, k.merchant_id, m.slug, m.name as merchant, k.name as label, k.prefix, k.expires_at
          from api_key k join merchant m on m.id = k.merchant_id
         where k.status = 'active' and k.replaced_by is null and k.expires_at > :now and k.expires_at <= :until
         order by k.expires_at, k.id limit {KEYS_MAX}
        """,
        now=now,
        until=until,
    )
    return [EndingKey(**row) for row in rows]


def api_keys(tx: ReadTx, *, owner: Owner, now: Instant, ended: bool = False) -> Sequence[KeyLine]:
    """Return an owner's keys, newest first: those in service, or where *ended* is asked for all of them."""
    in_service = "and k.status = 'active' and (k.expires_at is null or k.expires_at > :now)"
    rows = tx.all(
        f"""
        {_KEY}
         where k.merchant_id = :merchant_id and k.mode = :mode {"" if ended else in_service}
         order by k.id desc
         limit :most
        """,
        **owner.columns,
        most=KEYS_MAX,
        **({} if ended else {"now": now}),
    )
    return [_key_line(row, now) for row in rows]


def api_key(tx: ReadTx, key_id: int, *, owner: Owner, now: Instant) -> KeyLine | None:
    """Return one of an owner's keys, in service or not."""
    row = tx.one_or_none(
        f"{_KEY} where k.id = :id and k.merchant_id = :merchant_id and k.mode = :mode",
        id=key_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return _key_line(row, now) if row else None


_KEY: Final = """
        select k.*, n.prefix as replaced_by_prefix
          from api_key k left join api_key n on n.id = k.replaced_by"""


def _key_line(row: Row, now: Instant) -> KeyLine:
    expired = row["status"] == "active" and row["expires_at"] is not None and now >= row["expires_at"]
    scopes = readable_scopes(row["scopes"])
    return KeyLine(
        id=row["id"],
        name=row["name"],
        prefix=row["prefix"],
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        status="expired" if expired else row["status"],
        dialect=row["dialect"],
        rate_limit=row["rate_limit"],
        allowed_ips=tuple(json.loads(row["allowed_ips"])),
        expires_at=row["expires_at"],
        replaced_by=row["replaced_by_prefix"],
        last_used_at=row["last_used_at"],
        last_used_ip=row["last_used_ip"],
        last_used_agent=row["last_used_agent"],
        created_at=row["created_at"],
    )
