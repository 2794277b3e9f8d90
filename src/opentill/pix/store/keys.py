"""SQL of the PIX keys that lead to provider accounts."""

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner


def insert_key(tx: Tx, account_id: int, key: str, key_type: str, *, owner: Owner, now: Instant) -> None:
    tx.run(
        """
        insert into pix_key (account_id, merchant_id, mode, key, key_type, created_at)
        values (:account_id, :merchant_id, :mode, :key, :key_type, :now)
        """,
        account_id=account_id,
        **owner.columns,
        key=key,
        key_type=key_type,
        now=now,
    )


def remove_key(tx: Tx, account_id: int, key: str, *, owner: Owner) -> bool:
    """Let a key lead nowhere; return whether it led to the account."""
    changed = tx.run(
        """
        update pix_key set status = 'removed'
         where merchant_id = :merchant_id and mode = :mode and account_id = :account_id and key = :key
           and status <> 'removed'
        """,
        account_id=account_id,
        key=key,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return changed > 0


def key_is_taken(tx: ReadTx, key: str, *, mode: Mode) -> bool:
    """Tell whether a key leads to any account of a mode."""
    row = tx.one_or_none(
        "select id from pix_key where mode = :mode and key = :key and status <> 'removed'", mode=int(mode), key=key
    )
    return row is not None


def active_keys(tx: ReadTx, account_id: int, *, owner: Owner) -> list[str]:
    rows = tx.all(
        """
        select key from pix_key
         where merchant_id = :merchant_id and mode = :mode and account_id = :account_id and status = 'active'
         order by id limit 100
        """,
        account_id=account_id,
        **owner.columns,
    )
    return [row["key"] for row in rows]


def newest_key(tx: ReadTx, account_id: int, *, owner: Owner) -> str | None:
    row = tx.one_or_none(
        """
        select key from pix_key
         where merchant_id = :merchant_id and mode = :mode and account_id = :account_id and status = 'active'
         order by id desc limit 1
        """,
        account_id=account_id,
        **owner.columns,
    )
    return row["key"] if row else None


def owns_key(tx: ReadTx, account_id: int, key: str, *, owner: Owner) -> bool:
    return (
        tx.one_or_none(
            """
            select id from pix_key
             where merchant_id = :merchant_id and mode = :mode and account_id = :account_id
               and key = :key and status = 'active'
            """,
            account_id=account_id,
            key=key,
            **owner.columns,
        )
        is not None
    )
