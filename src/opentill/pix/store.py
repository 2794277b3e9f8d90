"""SQL of provider accounts, keys, charges and hints. Private to this feature's service and to `payments`.

A payment and its charge change together, under the locks that both stores take.
"""

from collections.abc import Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.pix.model import BRL, GATEWAY, Account, Charge, State

ACCOUNT: Final = """
        select a.id, a.merchant_id, a.mode, a.profile, a.bank_name, a.bank_ispb, a.sealed_credentials,
               a.swept_until_at, m.uuid as merchant_uuid, m.name as merchant_name, m.city as merchant_city
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
        insert into pix_account (merchant_id, mode, profile, bank_name, bank_ispb, sealed_credentials,
                                 sealed_hook_token, hook_token_hash, swept_until_at, created_at)
        values (:merchant_id, :mode, :profile, :bank_name, :bank_ispb, :sealed_credentials,
                :sealed_hook_token, :hook_token_hash, :now, :now)
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
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        key=key,
        key_type=key_type,
        now=now,
    )


def active_account(tx: ReadTx, *, owner: Owner) -> Account | None:
    row = tx.one_or_none(
        f"{ACCOUNT} where a.merchant_id = :merchant_id and a.mode = :mode and a.active = 1",
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return _as_account(row) if row else None


def account(tx: ReadTx, account_id: int) -> Account | None:
    """Return a provider account of any owner: for jobs, which start from the account."""
    row = tx.one_or_none(f"{ACCOUNT} where a.id = :id", id=account_id)
    return _as_account(row) if row else None


def account_by_hook(tx: ReadTx, account_id: int, token_hash: str) -> Account | None:
    row = tx.one_or_none(
        f"{ACCOUNT} where a.id = :id and a.hook_token_hash = :token_hash",
        id=account_id,
        token_hash=token_hash,
    )
    return _as_account(row) if row else None


def active_accounts(tx: ReadTx, *, swept_before: Instant, now: Instant, after_id: int, limit: int) -> Sequence[Account]:
    """Return active accounts not swept since an instant, or swept by a clock that was ahead, in order of their ids."""
    rows = tx.all(
        f"""{ACCOUNT}
         where a.active = 1 and a.id > :after_id and (a.swept_until_at < :swept_before or a.swept_until_at > :now)
         order by a.id limit :limit
        """,
        swept_before=swept_before,
        now=now,
        after_id=after_id,
        limit=limit,
    )
    return [_as_account(row) for row in rows]


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


def newest_key(tx: ReadTx, account_id: int, *, owner: Owner) -> str | None:
    row = tx.one_or_none(
        """
        select key from pix_key
         where merchant_id = :merchant_id and mode = :mode and account_id = :account_id and status = 'active'
         order by id desc limit 1
        """,
        account_id=account_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
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
            merchant_id=owner.merchant_id,
            mode=int(owner.mode),
        )
        is not None
    )


def insert_charge(tx: Tx, charge: Charge, *, next_check_at: Instant) -> None:
    tx.run(
        """
        insert into pix_charge (id, payment_id, announces, merchant_id, mode, account_id, state, units, key,
                                description, external_id, code, expires_in_s, expires_at, next_check_at,
                                created_at, updated_at)
        values (:id, :payment_id, :announces, :merchant_id, :mode, :account_id, :state, :units, :key,
                :description, :external_id, null, :expires_in_s, :expires_at, :next_check_at, :created_at, :created_at)
        """,
        id=charge.id,
        payment_id=charge.payment_id,
        announces=int(charge.announces),
        merchant_id=charge.owner.merchant_id,
        mode=int(charge.owner.mode),
        account_id=charge.account_id,
        state=charge.state.value,
        units=charge.amount.units,
        key=charge.key,
        description=charge.description,
        external_id=charge.external_id,
        expires_in_s=charge.expires_in_s,
        expires_at=charge.expires_at,
        next_check_at=next_check_at,
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
        merchant_id=charge.owner.merchant_id,
        mode=int(charge.owner.mode),
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
        merchant_id=charge.owner.merchant_id,
        mode=int(charge.owner.mode),
        at=at,
    )


def is_due(tx: ReadTx, charge: Charge, *, now: Instant) -> bool:
    """Tell whether a charge is still to be looked at now."""
    return _one_charge(tx, "id = :id and next_check_at <= :now", charge.owner, id=charge.id, now=now) is not None


def charge(tx: ReadTx, charge_id: str, *, owner: Owner) -> Charge | None:
    return _one_charge(tx, "id = :id", owner, id=charge_id)


def charge_of_payment(tx: ReadTx, payment_id: int, *, owner: Owner) -> Charge | None:
    return _one_charge(tx, "payment_id = :payment_id", owner, payment_id=payment_id)


def lock_charge(tx: Tx, charge_id: str, *, owner: Owner) -> Charge | None:
    """Load an owner's charge and lock its row. Callers hold its payment's lock already: payment, then charge."""
    return _one_charge(tx, "id = :id", owner, lock=for_update(tx), id=charge_id)


def due_charges(tx: ReadTx, *, now: Instant, limit: int) -> Sequence[Charge]:
    """Return charges of all owners whose provider is to be asked now."""
    rows = tx.all(
        f"{CHARGE} where next_check_at is not null and next_check_at <= :now order by next_check_at, id limit :limit",
        now=now,
        limit=limit,
    )
    return [_as_charge(row) for row in rows]


def insert_hint(tx: Tx, account_id: int, *, kind: str, ref: str, txid: str | None, now: Instant) -> None:
    """Note that something is to be read at the provider. The same hint twice is one, but is looked at again."""
    tx.run(
        """
        insert into pix_hint (account_id, kind, ref, txid, due_at, created_at)
        values (:account_id, :kind, :ref, :txid, :now, :now)
        on conflict (account_id, kind, ref) do update set due_at = :now, tries = 0
        """,
        account_id=account_id,
        kind=kind,
        ref=ref,
        txid=txid,
        now=now,
    )


def due_hints(tx: ReadTx, *, now: Instant, limit: int) -> Sequence[Row]:
    return tx.all(
        """
        select id, account_id, kind, ref, txid, tries, due_at from pix_hint
         where due_at is not null and due_at <= :now order by due_at, id limit :limit
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


def _one_charge(tx: ReadTx, condition: str, owner: Owner, *, lock: str = "", **params: Any) -> Charge | None:
    row = tx.one_or_none(
        f"{CHARGE} where {condition} and merchant_id = :merchant_id and mode = :mode{lock}",
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
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
    )
