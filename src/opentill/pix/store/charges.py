"""SQL of charges."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.ids import uuid_of
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.pix.model import BRL, Charge, State
from opentill.pix.store.accounts import none_of

CHARGE: Final = """
        select id, payment_id, announces, merchant_id, mode, account_id, state, units, key, description, external_id,
               code, expires_in_s, expires_at, created_at, updated_at
          from pix_charge
"""
# What stands beside an id. The plus keeps a planner that has no statistics yet from reading all charges of the owner.
OWNED: Final = "+merchant_id = :merchant_id and +mode = :mode"


def insert_charge(tx: Tx, charge: Charge, *, payment_uuid: str, next_check_at: Instant) -> None:
    """Insert a charge of an owner's payment, whose id need not be known yet."""
    tx.defer(
        """
        insert into pix_charge (id, payment_id, announces, merchant_id, mode, account_id, state, units, key,
                                description, external_id, code, expires_in_s, expires_at, next_check_at,
                                uuid, created_at, updated_at)
        values (:id,
                (select p.id from payment p
                  where p.uuid = :payment_uuid and +p.merchant_id = :merchant_id and +p.mode = :mode),
                :announces, :merchant_id, :mode, :account_id, :state, :units, :key,
                :description, :external_id, null, :expires_in_s, :expires_at, :next_check_at,
                :uuid, :created_at, :created_at)
        """,
        id=charge.id,
        payment_uuid=payment_uuid,
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
    tx.defer(
        f"""
        update pix_charge
           set state = :state, code = :code, expires_at = :expires_at,
               next_check_at = :next_check_at, updated_at = :updated_at
         where id = :id and {OWNED}
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
        f"update pix_charge set next_check_at = :at where id = :id and {OWNED}",
        id=charge.id,
        **charge.owner.columns,
        at=at,
    )


def set_paying(tx: Tx, charge_ids: Sequence[str], account_id: int, *, now: Instant) -> None:
    """Note that money for charges was announced (C4). In one order, as notifications may name them in any."""
    for charge_id in sorted(charge_ids):
        tx.defer(
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


def lock_charge_and_payment(tx: Tx, charge_id: str, *, owner: Owner) -> Charge | None:
    """Lock the payment of an owner's charge and then the charge, and load the charge. A charge keeps its payment."""
    row = tx.one_or_none(
        f"""
        select c.id, c.payment_id, c.announces, c.merchant_id, c.mode, c.account_id, c.state, c.units, c.key,
               c.description, c.external_id, c.code, c.expires_in_s, c.expires_at, c.created_at, c.updated_at
          from pix_charge c join payment p on p.id = c.payment_id
         where c.id = :id and +c.merchant_id = :merchant_id and +c.mode = :mode{for_update(tx, "p", "c")}
        """,
        id=charge_id,
        **owner.columns,
    )
    return _as_charge(row) if row else None


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


def _one_charge(tx: ReadTx, condition: str, owner: Owner, *, lock: str = "", **params: Any) -> Charge | None:
    row = tx.one_or_none(
        f"{CHARGE} where {condition} and {OWNED}{lock}",
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
