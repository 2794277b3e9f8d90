"""SQL of provider accounts, keys, charges and hints. Private to this feature's service and to `payments`.

A payment and its charge change together, under the locks that both stores take.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.ids import uuid_of
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.pix.model import BRL, GATEWAY, Account, Charge, State

ACCOUNT: Final = """
        select a.id, a.merchant_id, a.mode, a.profile, a.bank_name, a.bank_ispb, a.sealed_credentials,
               a.swept_until_at, a.infractions_at, a.active, a.removed_at, m.uuid as merchant_uuid,
               m.name as merchant_name,
               m.city as merchant_city
          from pix_account a join merchant m on m.id = a.merchant_id
"""
CHARGE: Final = """
        select id, payment_id, announces, merchant_id, mode, account_id, state, units, key, description, external_id,
               code, expires_in_s, expires_at, created_at, updated_at
          from pix_charge
"""


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


def active_account(tx: ReadTx, *, owner: Owner) -> Account | None:
    row = tx.one_or_none(
        f"{ACCOUNT} where a.merchant_id = :merchant_id and a.mode = :mode and a.active = 1",
        **owner.columns,
    )
    return _as_account(row) if row else None


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
    """Return active accounts whose contests were not listed since an instant, the longest waiting first."""
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


def insert_charge(tx: Tx, charge: Charge, *, next_check_at: Instant) -> None:
    tx.run(
        """
        insert into pix_charge (id, payment_id, announces, merchant_id, mode, account_id, state, units, key,
                                description, external_id, code, expires_in_s, expires_at, next_check_at,
                                uuid, created_at, updated_at)
        values (:id, :payment_id, :announces, :merchant_id, :mode, :account_id, :state, :units, :key,
                :description, :external_id, null, :expires_in_s, :expires_at, :next_check_at,
                :uuid, :created_at, :created_at)
        """,
        id=charge.id,
        payment_id=charge.payment_id,
        announces=int(charge.announces),
        **charge.owner.columns,
        account_id=charge.account_id,
        state=charge.state.value,
        units=charge.amount.units,
        key=charge.key,
        description=charge.description,
        external_id=charge.external_id,
        expires_in_s=charge.expires_in_s,
        expires_at=charge.expires_at,
        next_check_at=next_check_at,
        uuid=uuid_of(f"charge {charge.id}"),
        created_at=charge.created_at,
    )


def update_charge(tx: Tx, charge: Charge, *, next_check_at: Instant | None) -> None:
    """Save where a charge stands and when its provider is asked next; None: never again."""
    tx.run(
        """
        update pix_charge
           set state = :state, code = :code, expires_at = :expires_at,
               next_check_at = :next_check_at, updated_at = :updated_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=charge.id,
        **charge.owner.columns,
        state=charge.state.value,
        code=charge.code,
        expires_at=charge.expires_at,
        next_check_at=next_check_at,
        updated_at=charge.updated_at,
    )


def plan_look(tx: Tx, charge: Charge, *, at: Instant | None) -> None:
    """Save when a charge's provider is asked next and leave the rest as it is; None: never again."""
    tx.run(
        "update pix_charge set next_check_at = :at where id = :id and merchant_id = :merchant_id and mode = :mode",
        id=charge.id,
        **charge.owner.columns,
        at=at,
    )


def set_paying(tx: Tx, charge_ids: Sequence[str], account_id: int, *, now: Instant) -> None:
    """Note that money for charges was announced (C4). In one order, as notifications may name them in any."""
    for charge_id in sorted(charge_ids):
        tx.run(
            """
            update pix_charge set state = 'paying', updated_at = :now
             where id = :id and account_id = :account_id and state = 'active'
            """,
            id=charge_id,
            account_id=account_id,
            now=now,
        )


def stop_paying(tx: Tx, charge_id: str, account_id: int, *, now: Instant) -> None:
    """Note that money that was announced never came (C13), and have the charge looked at."""
    tx.run(
        """
        update pix_charge set state = 'active', next_check_at = :now, updated_at = :now
         where id = :id and account_id = :account_id and state = 'paying'
        """,
        id=charge_id,
        account_id=account_id,
        now=now,
    )


def is_due(tx: ReadTx, charge: Charge, *, now: Instant) -> bool:
    """Tell whether a charge is still to be looked at now."""
    return _one_charge(tx, "id = :id and next_check_at <= :now", charge.owner, id=charge.id, now=now) is not None


def charge(tx: ReadTx, charge_id: str, *, owner: Owner) -> Charge | None:
    return _one_charge(tx, "id = :id", owner, id=charge_id)


def charge_of_payment(tx: ReadTx, payment_id: int, *, owner: Owner) -> Charge | None:
    """Return the charge that counts: the one that may be paid now, else the one that was, else the newest."""
    rows = tx.all(
        f"""{CHARGE}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
         order by case when state in ('creating', 'active', 'paying') then 0
                       when state in ('completed', 'conflicted') then 1 else 2 end,
                  created_at desc, id desc
         limit 1
        """,
        payment_id=payment_id,
        **owner.columns,
    )
    return _as_charge(rows[0]) if rows else None


def lock_charge(tx: Tx, charge_id: str, *, owner: Owner) -> Charge | None:
    """Load an owner's charge and lock its row. Callers hold its payment's lock already: payment, then charge."""
    return _one_charge(tx, "id = :id", owner, lock=for_update(tx), id=charge_id)


def lock_charge_of_receipt(tx: Tx, receipt_id: int, *, owner: Owner) -> Charge | None:
    """Load and lock the charge that a receipt was paid for."""
    condition = "id = (select r.charge_id from receipt r where r.id = :receipt_id)"
    return _one_charge(tx, condition, owner, lock=for_update(tx), receipt_id=receipt_id)


def is_payment_cancelled(tx: ReadTx, payment_id: int, *, owner: Owner) -> bool:
    return bool(
        tx.all(
            """
            select id from payment
             where id = :id and merchant_id = :merchant_id and mode = :mode and status = 'cancelled'
            """,
            id=payment_id,
            **owner.columns,
        )
    )


def due_charges(tx: ReadTx, *, now: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Charge]:
    """Return charges of all owners whose provider is to be asked now, *but* not those of some accounts."""
    rows = tx.all(
        f"""{CHARGE}
         where next_check_at is not null and next_check_at <= :now{none_of(but)}
         order by next_check_at, id limit :limit
        """,
        now=now,
        limit=limit,
    )
    return [_as_charge(row) for row in rows]


def insert_hint(tx: Tx, account_id: int, *, kind: str, ref: str, txid: str | None, now: Instant) -> str | None:
    """Note that something is to be read at the provider; return the txid it was first announced with.

    The same hint twice is one, but is looked at again.
    """
    rows = tx.all(
        """
        insert into pix_hint (account_id, kind, ref, txid, due_at, created_at)
        values (:account_id, :kind, :ref, :txid, :now, :now)
        on conflict (account_id, kind, ref) do update set due_at = :now, tries = 0
        returning txid
        """,
        account_id=account_id,
        kind=kind,
        ref=ref,
        txid=txid,
        now=now,
    )
    first_txid: str | None = rows[0]["txid"]
    return first_txid


def due_hints(tx: ReadTx, *, now: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Row]:
    """Return the hints to be confirmed now, *but* not those of some accounts."""
    return tx.all(
        f"""
        select id, account_id, kind, ref, txid, tries, due_at from pix_hint
         where due_at is not null and due_at <= :now{none_of(but)}
         order by due_at, id limit :limit
        """,
        now=now,
        limit=limit,
    )


def set_hint(tx: Tx, hint: Row, *, due_at: Instant | None) -> None:
    """Put a hint off until later; None: it is dealt with. One that came again since it was read stays due."""
    tx.run(
        "update pix_hint set due_at = :due_at, tries = tries + 1 where id = :id and due_at = :seen",
        id=hint["id"],
        seen=hint["due_at"],
        due_at=due_at,
    )


def insert_callback(tx: Tx, account_id: int, body: bytes, body_hash: str, *, now: Instant) -> None:
    """Keep a bank's request as it came, once."""
    tx.run(
        """
        insert into provider_callback (gateway, account, body_hash, body, received_at)
        values (:gateway, :account, :body_hash, :body, :now)
        on conflict (gateway, account, body_hash) do nothing
        """,
        gateway=GATEWAY,
        account=str(account_id),
        body=body,
        body_hash=body_hash,
        now=now,
    )


def none_of(accounts: Collection[int], column: str = "account_id") -> str:
    """Return the condition that leaves some accounts out: few, and ours to name."""
    return f" and {column} not in ({', '.join(map(str, sorted(map(int, accounts))))})" if accounts else ""


def _one_charge(tx: ReadTx, condition: str, owner: Owner, *, lock: str = "", **params: Any) -> Charge | None:
    row = tx.one_or_none(
        f"{CHARGE} where {condition} and merchant_id = :merchant_id and mode = :mode{lock}",
        **owner.columns,
        **params,
    )
    return _as_charge(row) if row else None


def _as_charge(row: Row) -> Charge:
    return Charge(
        id=row["id"],
        payment_id=row["payment_id"],
        announces=bool(row["announces"]),
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        account_id=row["account_id"],
        state=State(row["state"]),
        amount=Money(row["units"], BRL),
        key=row["key"],
        description=row["description"],
        external_id=row["external_id"],
        code=row["code"],
        expires_in_s=row["expires_in_s"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


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
        contests_listed_at=row["infractions_at"],
        active=bool(row["active"]),
        removed=row["removed_at"] is not None,
    )
