"""Merchants' own hosts: named, proven by a TXT record, reachable, then served (merchant-api.md §17.5)."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids

PROOF: Final = "_opentill-verification"
LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST: Final = re.compile(rf"(?=.{{4,253}}\Z){LABEL}(?:\.{LABEL})*\.(?=[a-z0-9-]*[a-z]){LABEL}", re.ASCII)
DOMAINS_MAX: Final = 20  # of one merchant


@dataclass(frozen=True, slots=True)
class Domain:
    """A host of a merchant. It serves while it is active; a check that fails later switches nothing off."""

    id: int
    merchant_id: int
    host: str
    token: str
    state: str  # pending, verified or active
    primary: bool
    failing_since: Instant | None
    checked_at: Instant | None

    @property
    def proof(self) -> tuple[str, str]:
        """Return the name of the TXT record that proves the host, and what it has to say."""
        return f"{PROOF}.{self.host}", self.token


@dataclass(frozen=True, slots=True)
class Seen:
    """What the name servers say of a host."""

    texts: Collection[str]  # of the TXT record
    reaches_us: bool  # its addresses are those of the installation


def add(tx: Tx, host: str, *, merchant_id: int, main_host: str, ids: Ids, now: Instant) -> Domain:
    """Name a host. Raises Invalid for what is none, Conflict where it is taken or there are too many."""
    name = host.strip().lower().rstrip(".")
    if HOST.fullmatch(name) is None:
        raise Invalid([Fault("host", "INVALID_HOST", "Enter a host name such as pay.shop.example.")])
    if name == main_host:
        raise Conflict("HOST_TAKEN", "This is the installation's own host.")
    if len(of_merchant(tx, merchant_id)) >= DOMAINS_MAX:
        raise Conflict("TOO_MANY_HOSTS", "A merchant has at most %(most)s hosts.", most=DOMAINS_MAX)
    added = tx.run(
        """
        insert into merchant_domain (merchant_id, host, token, state, created_at)
        values (:merchant_id, :host, :token, 'pending', :now) on conflict (host) do nothing
        """,
        merchant_id=merchant_id,
        host=name,
        token=ids.hex(32),
        now=now,
    )
    if not added:
        raise Conflict("HOST_TAKEN", "This host was named already.")
    return one(tx, name, merchant_id=merchant_id)


def judge(tx: Tx, host: str, seen: Seen, *, merchant_id: int, now: Instant) -> Domain:
    """Apply what the name servers say: proven, then reachable, it serves. Safe to repeat; never switches one off."""
    domain = one(tx, host, merchant_id=merchant_id)
    proven = domain.token in seen.texts
    state = domain.state
    if state == "pending" and proven:
        state = "verified"
    if state == "verified" and proven and seen.reaches_us:
        state = "active"
    fails = state == "active" and not (proven and seen.reaches_us)
    tx.run(
        """
        update merchant_domain
           set state = :state, checked_at = :now,
               failing_since = case when :fails = 1 then coalesce(failing_since, :now) end
         where id = :id
        """,
        id=domain.id,
        state=state,
        fails=int(fails),
        now=now,
    )
    return one(tx, host, merchant_id=merchant_id)


def make_primary(tx: Tx, host: str, *, merchant_id: int) -> Domain:
    """Have a merchant's links carry a host. Raises Conflict where it does not serve yet."""
    domain = one(tx, host, merchant_id=merchant_id)
    if domain.state != "active":
        raise Conflict("HOST_NOT_ACTIVE", "The host does not serve yet: its records have to be found first.")
    tx.run("update merchant set primary_host = :host where id = :id", host=domain.host, id=merchant_id)
    return one(tx, host, merchant_id=merchant_id)


def look_again(tx: Tx, host: str, *, merchant_id: int) -> Domain:
    """Have a host's records looked at with the next round, not only in an hour."""
    domain = one(tx, host, merchant_id=merchant_id)
    tx.run("update merchant_domain set checked_at = null where id = :id", id=domain.id)
    return domain


def remove(tx: Tx, host: str, *, merchant_id: int) -> Domain:
    """Forget a host. Links that carried it stop working; new ones carry the installation's."""
    domain = one(tx, host, merchant_id=merchant_id)
    tx.run(
        "update merchant set primary_host = null where id = :id and primary_host = :host",
        id=merchant_id,
        host=domain.host,
    )
    tx.run("delete from merchant_domain where id = :id", id=domain.id)
    return domain


def one(tx: ReadTx, host: str, *, merchant_id: int) -> Domain:
    """Return one of a merchant's hosts. Raises NotFound."""
    row = tx.one_or_none(
        f"{_DOMAIN} where d.host = :host and d.merchant_id = :merchant_id", host=host.lower(), merchant_id=merchant_id
    )
    if row is None:
        raise NotFound("HOST_NOT_FOUND", "No such host.")
    return _as_domain(row)


def of_merchant(tx: ReadTx, merchant_id: int) -> Sequence[Domain]:
    """Return a merchant's hosts, oldest first."""
    rows = tx.all(f"{_DOMAIN} where d.merchant_id = :merchant_id order by d.id limit 100", merchant_id=merchant_id)
    return [_as_domain(row) for row in rows]


def to_check(tx: ReadTx, *, checked_before: Instant, limit: int) -> Sequence[Domain]:
    """Return hosts of all merchants whose records were not looked at lately."""
    rows = tx.all(
        f"{_DOMAIN} where coalesce(d.checked_at, 0) < :before order by coalesce(d.checked_at, 0), d.id limit :limit",
        before=checked_before,
        limit=limit,
    )
    return [_as_domain(row) for row in rows]


def active_hosts(tx: ReadTx) -> Mapping[str, int]:
    """Return every host that serves, and whose it is."""
    rows = tx.all("select host, merchant_id from merchant_domain where state = 'active'")
    return {row["host"]: row["merchant_id"] for row in rows}


_DOMAIN: Final = """
        select d.id, d.merchant_id, d.host, d.token, d.state, d.failing_since, d.checked_at,
               case when m.primary_host = d.host then 1 else 0 end as is_primary
          from merchant_domain d join merchant m on m.id = d.merchant_id"""


def _as_domain(row: Row) -> Domain:
    return Domain(
        id=row["id"],
        merchant_id=row["merchant_id"],
        host=row["host"],
        token=row["token"],
        state=row["state"],
        primary=bool(row["is_primary"]),
        failing_since=row["failing_since"],
        checked_at=row["checked_at"],
    )
