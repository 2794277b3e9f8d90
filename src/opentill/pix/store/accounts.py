"""SQL of provider accounts."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.pix.model import Account

_COLUMNS: Final = """
        select a.id, a.merchant_id, a.mode, a.profile, a.bank_name, a.bank_ispb, a.sealed_credentials,
               a.swept_until_at, a.infractions_at, a.active, a.removed_at, m.uuid as merchant_uuid,
               m.name as merchant_name,
               m.city as merchant_city"""
_OF_MERCHANT: Final = """
          from pix_account a join merchant m on m.id = a.merchant_id
"""
ACCOUNT: Final = _COLUMNS + _OF_MERCHANT
WAY_IN: Final = f"""{_COLUMNS}, l.charge_min_units, l.charge_max_units, (
                   select k.key from pix_key k
                    where k.merchant_id = a.merchant_id and k.mode = a.mode and k.account_id = a.id
                      and k.key = coalesce(:key, k.key) and k.status = 'active'
                    order by k.id desc limit 1) as key{_OF_MERCHANT}
          left join pix_policy l on l.merchant_id = a.merchant_id and l.mode = a.mode
         where a.merchant_id = :merchant_id and a.mode = :mode and a.active = 1
"""


class FoundWay(NamedTuple):
    """The account an owner is paid into, a key that leads to it if there is one, and what a charge may be of."""

    account: Account
    key: str | None
    least_units: int | None
    most_units: int | None


def insert_account(tx: Tx, **columns: Any) -> int:
    """Insert a provider account and return its id."""
    rows = tx.all(
        """
        insert into pix_account (merchant_id, mode, profile, bank_name, bank_ispb, bank_document,
                                 sealed_credentials, sealed_hook_token, hook_token_hash, swept_until_at, created_at)
        values (:merchant_id, :mode, :profile, :bank_name, :bank_ispb, :bank_document,
                :sealed_credentials, :sealed_hook_token, :hook_token_hash, :now, :now)
        returning id
        """,
        **columns,
    )
    account_id: int = rows[0]["id"]
    return account_id


def lock_account(tx: Tx, account_id: int) -> Account | None:
    """Load a provider account of any owner and lock its row."""
    tx.one_or_none(f"select id from pix_account where id = :id{for_update(tx)}", id=account_id)
    return account(tx, account_id)


def set_active(tx: Tx, account: Account, *, active: bool) -> None:
    tx.run("update pix_account set active = :active where id = :id", id=account.id, active=int(active))


def set_credentials(tx: Tx, account: Account, sealed: str) -> None:
    tx.run("update pix_account set sealed_credentials = :sealed where id = :id", id=account.id, sealed=sealed)


def forget_account(tx: Tx, account: Account, *, now: Instant) -> None:
    """Remove an account: its row stays for the books, its credentials, address and keys go."""
    tx.run(
        """
        update pix_account
           set active = 0, removed_at = :now, sealed_credentials = '', sealed_hook_token = '', hook_token_hash = ''
         where id = :id
        """,
        id=account.id,
        now=now,
    )
    tx.run("update pix_key set status = 'removed' where account_id = :id", id=account.id)


def active_account(tx: ReadTx, *, owner: Owner) -> Account | None:
    row = tx.one_or_none(
        f"{ACCOUNT} where a.merchant_id = :merchant_id and a.mode = :mode and a.active = 1",
        **owner.columns,
    )
    return _as_account(row) if row else None


def find_way(tx: ReadTx, key: str | None, *, owner: Owner) -> FoundWay | None:
    """Return where an owner is paid: at the key given, or else at the newest."""
    row = tx.one_or_none(WAY_IN, **owner.columns, key=key)
    return FoundWay(_as_account(row), row["key"], row["charge_min_units"], row["charge_max_units"]) if row else None


def account(tx: ReadTx, account_id: int) -> Account | None:
    """Return a provider account of any owner: for jobs, which start from the account."""
    row = tx.one_or_none(f"{ACCOUNT} where a.id = :id", id=account_id)
    return _as_account(row) if row else None


def account_by_hook(tx: ReadTx, account_id: int, token_hash: str) -> Account | None:
    row = tx.one_or_none(
        f"{ACCOUNT} where a.id = :id and a.hook_token_hash = :token_hash and a.removed_at is null",
        id=account_id,
        token_hash=token_hash,
    )
    return _as_account(row) if row else None


def active_accounts(tx: ReadTx, *, swept_before: Instant, now: Instant, after_id: int, limit: int) -> Sequence[Account]:
    """Return active accounts not swept since an instant, or swept by a clock that was ahead, in order of their ids."""
    rows = tx.all(
        f"""{ACCOUNT}
         where a.removed_at is null and a.id > :after_id
           and (a.swept_until_at < :swept_before or a.swept_until_at > :now)
         order by a.id limit :limit
        """,
        swept_before=swept_before,
        now=now,
        after_id=after_id,
        limit=limit,
    )
    return [_as_account(row) for row in rows]


def all_active_accounts(tx: ReadTx, *, after_id: int, limit: int) -> Sequence[Account]:
    rows = tx.all(
        f"{ACCOUNT} where a.removed_at is null and a.id > :after_id order by a.id limit :limit",
        after_id=after_id,
        limit=limit,
    )
    return [_as_account(row) for row in rows]


def sealed_hook_token(tx: ReadTx, account_id: int) -> str:
    sealed: str = tx.all("select sealed_hook_token from pix_account where id = :id", id=account_id)[0][
        "sealed_hook_token"
    ]
    return sealed


def set_swept(tx: Tx, account: Account, *, until: Instant, now: Instant) -> None:
    """Save until when an account is swept. It goes back only if a clock was ahead."""
    tx.run(
        """
        update pix_account set swept_until_at = :until
         where id = :id and (swept_until_at < :until or swept_until_at > :now)
        """,
        id=account.id,
        until=until,
        now=now,
    )


def accounts_to_list(tx: ReadTx, *, listed_before: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Account]:
    """Return active accounts whose infractions were not listed since an instant, the longest waiting first."""
    rows = tx.all(
        f"""{ACCOUNT}
         where a.removed_at is null and a.infractions_at < :listed_before{none_of(but, "a.id")}
         order by a.infractions_at, a.id limit :limit
        """,
        listed_before=listed_before,
        limit=limit,
    )
    return [_as_account(row) for row in rows]


def set_listed(tx: Tx, account: Account, *, at: Instant) -> None:
    tx.run("update pix_account set infractions_at = :at where id = :id", id=account.id, at=at)


def none_of(accounts: Collection[int], column: str = "account_id") -> str:
    """Return the condition that leaves some accounts out: few, and ours to name."""
    return f" and {column} not in ({', '.join(map(str, sorted(map(int, accounts))))})" if accounts else ""


def _as_account(row: Row) -> Account:
    return Account(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        merchant_uuid=row["merchant_uuid"],
        merchant_name=row["merchant_name"],
        merchant_city=row["merchant_city"],
        profile=row["profile"],
        bank_name=row["bank_name"],
        bank_ispb=row["bank_ispb"],
        sealed_credentials=row["sealed_credentials"],
        swept_until_at=row["swept_until_at"],
        infractions_listed_at=row["infractions_at"],
        active=bool(row["active"]),
        removed=row["removed_at"] is not None,
    )
