"""SQL of contests and of what went back because of them. Private to this folder."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant, to_datetime
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.payments.infractions.model import Contested, Infraction, State
from opentill.payments.store import same_money
from opentill.pix.model import BRL, GATEWAY
from opentill.pix.port import ProviderReturn
from opentill.pix.store import none_of

CONTESTED: Final = """
       r.id as receipt_id, r.merchant_id, r.mode, r.account, r.units as receipt_units, r.ref as end_to_end_id,
       r.payer_ispb, r.received_at, coalesce(r.public_id, r.charge_id, '') as transaction_id,
       (select c.external_id from pix_charge c where c.id = r.charge_id) as external_id,
       (select m.uuid from merchant m where m.id = r.merchant_id) as merchant_uuid
"""
INFRACTION: Final = f"""
        select i.id, i.ref, i.state, i.kind, i.units, i.blocked_units, i.returned_units, i.moves, i.blocks, i.reason,
               i.counterpart_ispb, i.defense_text, i.evidence, i.block_id, i.task, i.opened_at, i.defense_until_at,
               i.defended_at, i.resolved_at, i.completed_at, i.watched_until_at, i.due_at, i.account_id, {CONTESTED}
          from pix_infraction i join receipt r on r.id = i.receipt_id
"""
_KEPT: Final = (
    "moves",
    "reason",
    "counterpart_ispb",
    "defense_text",
    "evidence",
    "block_id",
    "task",
    "opened_at",
    "defense_until_at",
    "defended_at",
    "resolved_at",
    "completed_at",
    "watched_until_at",
    "due_at",
)


def lock_contested(tx: Tx, end_to_end_id: str, account_id: int, *, owner: Owner) -> Contested | None:
    """Load and lock the receipt of an end-to-end id at a provider account.

    What two processes hear of it at once they then book one after the other: neither would see the other's contest.
    """
    condition, named = same_money(GATEWAY, str(account_id), end_to_end_id)
    row = tx.one_or_none(
        f"""
        select {CONTESTED} from receipt r
         where r.merchant_id = :merchant_id and r.mode = :mode and {condition}{_lock(tx, "r")}
        """,
        **owner.columns,
        **named,
    )
    return _as_contested(row, account_id) if row else None


def next_id(tx: Tx, now: Instant) -> str:
    """Return the next id of the day: `MED`, the UTC day, and its number of at least three digits."""
    day = f"{to_datetime(now):%Y%m%d}"
    row = tx.one_or_none(
        """
        insert into pix_infraction_day (day, last) values (:day, 1)
        on conflict (day) do update set last = pix_infraction_day.last + 1
        returning last
        """,
        day=day,
    )
    return f"MED{day}{row['last'] if row else 1:03}"


def insert(tx: Tx, infraction: Infraction, *, now: Instant) -> None:
    tx.run(
        f"""
        insert into pix_infraction (id, merchant_id, mode, account_id, receipt_id, ref, state, kind, units,
                                    blocked_units, returned_units, blocks, created_at, {", ".join(_KEPT)})
        values (:id, :merchant_id, :mode, :account_id, :receipt_id, :ref, :state, :kind, :units,
                :blocked_units, :returned_units, :blocks, :now, {", ".join(f":{name}" for name in _KEPT)})
        """,
        account_id=infraction.receipt.account_id,
        receipt_id=infraction.receipt.id,
        ref=infraction.ref,
        kind=infraction.kind,
        units=infraction.amount.units,
        blocks=int(infraction.blocks),
        now=now,
        **_written(infraction),
    )


def update(tx: Tx, infraction: Infraction) -> None:
    """Save where a contest stands. Its row is locked."""
    tx.run(
        f"""
        update pix_infraction
           set state = :state, blocked_units = :blocked_units, returned_units = :returned_units,
               {", ".join(f"{name} = :{name}" for name in _KEPT)}
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        **_written(infraction),
    )


def find(tx: ReadTx, infraction_id: str, *, owner: Owner) -> Infraction | None:
    return _one(tx, "i.id = :id", owner, id=infraction_id)


def find_ref(tx: ReadTx, ref: str, account_id: int, *, owner: Owner) -> Infraction | None:
    """Return the contest the bank of an account knows by *ref*."""
    return _one(tx, "i.ref = :ref and i.account_id = :account_id", owner, ref=ref, account_id=account_id)


def lock(tx: Tx, infraction_id: str, *, owner: Owner) -> Infraction | None:
    return _one(tx, "i.id = :id", owner, lock=_lock(tx), id=infraction_id)


def lock_ref(tx: Tx, ref: str, receipt: Contested) -> Infraction | None:
    """Load and lock the contest the bank knows by *ref*."""
    return _one(
        tx, "i.ref = :ref and i.account_id = :account_id", receipt.owner, lock=_lock(tx), ref=ref,
        account_id=receipt.account_id,
    )  # fmt: skip


def lock_alive(tx: Tx, receipt: Contested) -> Infraction | None:
    """Load and lock the oldest contest of a receipt that money may still go back for."""
    rows = tx.all(
        f"""{INFRACTION}
         where i.receipt_id = :receipt_id and i.merchant_id = :merchant_id and i.mode = :mode
           and i.state in ('open', 'defended', 'accepted') order by i.created_at, i.id limit 1{_lock(tx)}
        """,
        receipt_id=receipt.id,
        **receipt.owner.columns,
    )
    return as_infraction(rows[0]) if rows else None


def lock_short(tx: Tx, *, owner: Owner) -> Sequence[Infraction]:
    """Load and lock an owner's contests whose block is not full, oldest first."""
    rows = tx.all(
        f"""{INFRACTION}
         where i.merchant_id = :merchant_id and i.mode = :mode and i.state in ('open', 'defended', 'accepted')
           and i.blocks = 1 and i.blocked_units + i.returned_units < i.units
         order by i.created_at, i.id limit 100{_lock(tx)}
        """,
        **owner.columns,
    )
    return [as_infraction(row) for row in rows]


def owners_short(tx: ReadTx, *, limit: int) -> Sequence[Owner]:
    """Return owners with a block that is not full although they have money: of a payout that failed or came back."""
    rows = tx.all(
        """
        select distinct i.merchant_id, i.mode from pix_infraction i
          join ledger_account a on a.merchant_id = i.merchant_id and a.mode = i.mode and a.currency = 'BRL'
           and a.kind = 'available' and a.balance_units > 0
         where i.state in ('open', 'defended', 'accepted') and i.blocks = 1
           and i.blocked_units + i.returned_units < i.units
         limit :limit
        """,
        limit=limit,
    )
    return [Owner(row["merchant_id"], Mode(row["mode"])) for row in rows]


def is_contested(tx: ReadTx, receipt_id: int) -> bool:
    """Tell whether a receipt is under dispute, so that nobody refunds it by themselves."""
    return bool(
        tx.all(
            """
            select id from pix_infraction
             where receipt_id = :receipt_id and state in ('open', 'defended', 'accepted') limit 1
            """,
            receipt_id=receipt_id,
        )
    )


def listed(tx: ReadTx, *, owner: Owner) -> Sequence[Infraction]:
    """Return an owner's contests, newest first."""
    rows = tx.all(
        f"""{INFRACTION}
         where i.merchant_id = :merchant_id and i.mode = :mode order by i.created_at desc, i.id desc limit 1000
        """,
        **owner.columns,
    )
    return [as_infraction(row) for row in rows]


def due(tx: ReadTx, *, now: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Infraction]:
    """Return contests of all owners that something is to be done for now, *but* not those of some accounts."""
    rows = tx.all(
        f"{INFRACTION} where i.due_at <= :now{none_of(but, 'i.account_id')} order by i.due_at, i.id limit :limit",
        now=now,
        limit=limit,
    )
    return [as_infraction(row) for row in rows]


def insert_return(
    tx: Tx, infraction: Infraction, came: ProviderReturn, *, public_id: str, uuid: str, now: Instant
) -> bool:
    """Record what went back, once per return id; return whether it was new."""
    receipt = infraction.receipt
    return bool(
        tx.run(
            """
            insert into pix_infraction_return (id, uuid, infraction_id, receipt_id, merchant_id, mode, account_id,
                                               return_id, units, nature, returned_at, created_at)
            values (:id, :uuid, :infraction_id, :receipt_id, :merchant_id, :mode, :account_id,
                    :return_id, :units, :nature, :returned_at, :now)
            on conflict (account_id, return_id) do nothing
            """,
            id=public_id,
            uuid=uuid,
            infraction_id=infraction.id,
            receipt_id=receipt.id,
            **receipt.owner.columns,
            account_id=receipt.account_id,
            return_id=name_of(came),
            units=came.amount_centavos * 100,
            nature=came.nature.value,
            returned_at=came.settled_at or now,
            now=now,
        )
    )


def take(tx: Tx, infraction: Infraction, *, until: Instant) -> bool:
    """Keep a due contest for oneself until an instant; False where somebody else has it, or it is not due any more."""
    return bool(
        tx.run(
            """
            update pix_infraction set due_at = :until
             where id = :id and merchant_id = :merchant_id and mode = :mode and due_at = :seen
            """,
            id=infraction.id,
            seen=infraction.due_at,
            until=until,
            **infraction.owner.columns,
        )
    )


def has_return(tx: ReadTx, account_id: int, came: ProviderReturn) -> bool:
    return bool(
        tx.all(
            "select id from pix_infraction_return where account_id = :account_id and return_id = :return_id",
            account_id=account_id,
            return_id=name_of(came),
        )
    )


def name_of(came: ProviderReturn) -> str:
    """Return the name a return is known by: the rail's, or the bank's where the rail's is not told."""
    return came.return_id or came.ref


def as_infraction(row: Row) -> Infraction:
    return Infraction(
        id=row["id"],
        receipt=_as_contested(row, row["account_id"]),
        ref=row["ref"],
        state=State(row["state"]),
        kind=row["kind"],
        amount=Money(row["units"], BRL),
        blocked=Money(row["blocked_units"], BRL),
        returned=Money(row["returned_units"], BRL),
        blocks=bool(row["blocks"]),
        **{name: row[name] for name in _KEPT},
    )


def _one(tx: ReadTx, condition: str, owner: Owner, *, lock: str = "", **params: Any) -> Infraction | None:
    row = tx.one_or_none(
        f"{INFRACTION} where {condition} and i.merchant_id = :merchant_id and i.mode = :mode{lock}",
        **owner.columns,
        **params,
    )
    return as_infraction(row) if row else None


def _lock(tx: ReadTx, table: str = "i") -> str:
    """Lock rows of one table of a join."""
    return f"{for_update(tx)} of {table}" if for_update(tx) else ""


def _as_contested(row: Row, told_by: int) -> Contested:
    """Read a receipt that an account *told* of a contest for. One that only a person saw names no account."""
    return Contested(
        id=row["receipt_id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        merchant_uuid=row["merchant_uuid"],
        account_id=int(row["account"] or told_by),
        amount=Money(row["receipt_units"], BRL),
        transaction_id=row["transaction_id"],
        end_to_end_id=row["end_to_end_id"],
        external_id=row["external_id"],
        payer_ispb=row["payer_ispb"],
        received_at=row["received_at"],
    )


def _written(infraction: Infraction) -> dict[str, Any]:
    return {
        "id": infraction.id,
        "merchant_id": infraction.owner.merchant_id,
        "mode": int(infraction.owner.mode),
        "state": infraction.state.value,
        "blocked_units": infraction.blocked.units,
        "returned_units": infraction.returned.units,
        **{name: getattr(infraction, name) for name in _KEPT},
    }
