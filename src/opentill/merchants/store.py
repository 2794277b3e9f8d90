"""SQL of merchants, keys and credentials. Private to this feature's service and queries."""

import json
from collections.abc import Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.merchants import options
from opentill.merchants.model import SCOPES, ApiKey, Merchant, PixCredential

MERCHANT_COLUMNS: Final = """m.id as m_id, m.uuid as m_uuid, m.slug as m_slug, m.name as m_name, m.city as m_city,
               m.mode as m_mode, m.status as m_status, m.expiry_s as m_expiry_s, m.settings as m_settings,
               m.primary_host as m_primary_host"""

API_KEY: Final = f"""
        select k.id, k.merchant_id, k.mode, k.name, k.prefix, k.key_hash, k.scopes, k.status, k.dialect,
               k.rate_limit, k.allowed_ips, k.expires_at, {MERCHANT_COLUMNS}
          from api_key k join merchant m on m.id = k.merchant_id"""


def insert_merchant(tx: Tx, **columns: Any) -> int:
    """Insert a merchant and return its id."""
    rows = tx.all(
        """
        insert into merchant (uuid, slug, name, city, mode, sealed_secret, outbound_allow, created_at)
        values (:uuid, :slug, :name, :city, :mode, :sealed_secret, :outbound_allow, :now)
        returning id
        """,
        **columns,
    )
    merchant_id: int = rows[0]["id"]
    return merchant_id


def merchant(tx: ReadTx, merchant_id: int) -> Merchant | None:
    row = tx.one_or_none(f"select {MERCHANT_COLUMNS} from merchant m where m.id = :id", id=merchant_id)
    return _as_merchant(row) if row else None


def merchant_by_uuid(tx: ReadTx, uuid: str) -> Merchant | None:
    row = tx.one_or_none(f"select {MERCHANT_COLUMNS} from merchant m where m.uuid = :uuid", uuid=uuid)
    return _as_merchant(row) if row else None


def sealed_secret(tx: ReadTx, merchant_id: int) -> str:
    sealed: str = tx.all("select sealed_secret from merchant where id = :id", id=merchant_id)[0]["sealed_secret"]
    return sealed


def insert_api_key(tx: Tx, **columns: Any) -> int:
    """Insert a key and return its id."""
    rows = tx.all(
        """
        insert into api_key (merchant_id, mode, name, prefix, key_hash, scopes, dialect, rate_limit,
                             allowed_ips, expires_at, created_at)
        values (:merchant_id, :mode, :name, :prefix, :key_hash, :scopes, :dialect, :rate_limit,
                :allowed_ips, :expires_at, :now)
        returning id
        """,
        **columns,
    )
    key_id: int = rows[0]["id"]
    return key_id


def api_keys_by_prefix(tx: ReadTx, prefix: str) -> Sequence[tuple[str, ApiKey]]:
    """Return each key of a prefix with its stored hash; several keys may share one prefix."""
    rows = tx.all(f"{API_KEY} where k.prefix = :prefix", prefix=prefix)
    return [(row["key_hash"], _as_api_key(row)) for row in rows]


def touch_api_key(tx: Tx, key_id: int, *, ip: str, agent: str, now: Instant) -> None:
    tx.run(
        "update api_key set last_used_at = :now, last_used_ip = :ip, last_used_agent = :agent where id = :id",
        id=key_id,
        ip=ip,
        agent=agent,
        now=now,
    )


def lock_api_key(tx: Tx, key_id: int, *, owner: Owner) -> ApiKey | None:
    """Return an owner's key by its id and hold it until the commit."""
    rows = tx.all(
        f"select id from api_key where id = :id and merchant_id = :merchant_id and mode = :mode{for_update(tx)}",
        id=key_id,
        **owner.columns,
    )
    if not rows:
        return None
    row = tx.one_or_none(f"{API_KEY} where k.id = :id", id=key_id)
    return _as_api_key(row) if row else None


def change_api_key(tx: Tx, key_id: int, **columns: Any) -> None:
    """Write some columns of a locked key."""
    written = ", ".join(f"{column} = :{column}" for column in columns)
    tx.run(f"update api_key set {written} where id = :id", id=key_id, **columns)


def lock_all_api_keys(tx: Tx, *, owner: Owner) -> int:
    """Lock every active key of an owner and return how many those were."""
    return tx.run(
        """
        update api_key set status = 'locked'
         where merchant_id = :merchant_id and mode = :mode and status = 'active'
        """,
        **owner.columns,
    )


def revoke_api_key(tx: Tx, prefix: str, *, owner: Owner) -> int:
    """Revoke an owner's keys of a prefix and return how many that are."""
    return tx.run(
        """
        update api_key set status = 'revoked'
         where merchant_id = :merchant_id and mode = :mode and prefix = :prefix and status <> 'revoked'
        """,
        prefix=prefix,
        **owner.columns,
    )


def insert_credential(tx: Tx, **columns: Any) -> None:
    tx.run(
        """
        insert into pix_credential (client_id, merchant_id, mode, name, secret_hash, permissions, check_ips,
                                    allowed_ips, expires_at, created_at)
        values (:client_id, :merchant_id, :mode, :name, :secret_hash, :permissions, :check_ips,
                :allowed_ips, :expires_at, :now)
        """,
        **columns,
    )


def credential(tx: ReadTx, client_id: str) -> tuple[Row, PixCredential] | None:
    """Return a credential with its row, which holds the secret's hashes."""
    row = tx.one_or_none(
        f"""
        select c.id, c.client_id, c.merchant_id, c.mode, c.name, c.secret_hash, c.old_secret_hash,
               c.old_secret_until_at, c.permissions, c.check_ips, c.allowed_ips, c.status, c.expires_at,
               {MERCHANT_COLUMNS}
          from pix_credential c join merchant m on m.id = c.merchant_id
         where c.client_id = :client_id
        """,
        client_id=client_id,
    )
    return (row, _as_credential(row)) if row else None


def _as_merchant(row: Row) -> Merchant:
    """Read the columns of MERCHANT_COLUMNS."""
    return Merchant(
        id=row["m_id"],
        uuid=row["m_uuid"],
        slug=row["m_slug"],
        name=row["m_name"],
        city=row["m_city"],
        mode=Mode(row["m_mode"]),
        status=row["m_status"],
        expiry_s=row["m_expiry_s"],
        options=options.read(row["m_settings"]),
        primary_host=row["m_primary_host"],
    )


def _as_api_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        name=row["name"],
        prefix=row["prefix"],
        scopes=readable_scopes(row["scopes"]),
        status=row["status"],
        dialect=row["dialect"],
        rate_limit=row["rate_limit"],
        allowed_ips=tuple(json.loads(row["allowed_ips"])),
        expires_at=row["expires_at"],
        merchant=_as_merchant(row),
    )


def readable_scopes(stored: str) -> frozenset[str]:
    """Return stored scopes; what cannot be read allows nothing (merchant-api.md §2.1)."""
    try:
        scopes = json.loads(stored)
    except ValueError:
        return frozenset()
    return frozenset(scope for scope in scopes if scope in SCOPES) if isinstance(scopes, list) else frozenset()


def _as_credential(row: Row) -> PixCredential:
    return PixCredential(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        client_id=row["client_id"],
        name=row["name"],
        permissions=frozenset(json.loads(row["permissions"])),
        check_ips=bool(row["check_ips"]),
        allowed_ips=tuple(json.loads(row["allowed_ips"])),
        status=row["status"],
        expires_at=row["expires_at"],
        merchant=_as_merchant(row),
    )
