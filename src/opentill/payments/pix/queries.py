"""What the PIX API lists and looks up: charges, receipts, payouts, refunds and returns as rows of one kind
(pix-api.md §13). Read-only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.db.dialect import by_bytes
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner

TAGGED_MAX: Final = 50  # rows of one tag


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; None means anything."""

    statuses: frozenset[str] | None = None
    since: Instant | None = None
    before: Instant | None = None
    direction: str | None = None
    external_id: str | None = None
    moved: bool = False  # only movements of money: no charges that were never paid


@dataclass(frozen=True, slots=True)
class _Kind:
    """One table of movements: its columns as those of a row, and the columns it is found by."""

    direction: str
    columns: str
    tables: str
    named: str  # the id
    rail: str  # the end-to-end or return id
    external_id: str
    created_at: str
    table: str  # its alias
    shown: str = "1 = 1"  # leaves out what never was, or is no movement of its own
    moved: str = "1 = 1"


_CHARGE_STATUS: Final = """
       case c.state when 'paying' then 'pending' when 'conflicted' then 'pending' else c.state end"""
_KINDS: Final = (
    _Kind(
        direction="inbound",
        columns=f"""
       c.uuid, c.id as transaction_id, r.ref as end_to_end_id, c.external_id, 'inbound' as direction,
       {_CHARGE_STATUS} as status, coalesce(r.units, c.units) as units, coalesce(r.fee_units, 0) as fee_units,
       c.description, r.payer_name as counterparty_name, cast(null as text) as recipient_key, r.payer_document,
       cast(null as text) as recipient_document, r.payer_ispb, r.payer_bank_name,
       cast(null as text) as original_transaction_id, c.created_at,
       case when c.state = 'completed' then r.received_at end as completed_at, c.account_id""",
        tables="""pix_charge c
       left join receipt r on r.charge_id = c.id and r.origin = 'charge' and not exists (
            select 1 from receipt x
             where x.charge_id = r.charge_id and x.origin = 'charge' and r.state <> 'booked'
               and (x.state = 'booked' or x.id > r.id))""",
        named="c.id",
        rail="r.ref",
        external_id="c.external_id",
        created_at="c.created_at",
        table="c",
        shown="c.state not in ('creating', 'rejected')",
        moved="c.state in ('paying', 'completed', 'conflicted')",
    ),
    _Kind(
        direction="inbound",
        columns="""
       r.uuid, r.public_id as transaction_id, r.ref as end_to_end_id,
       (select c.external_id from pix_charge c where c.id = r.charge_id) as external_id, 'inbound' as direction,
       'completed' as status, r.units, r.fee_units, cast(null as text) as description,
       r.payer_name as counterparty_name, cast(null as text) as recipient_key, r.payer_document,
       cast(null as text) as recipient_document, r.payer_ispb, r.payer_bank_name,
       cast(null as text) as original_transaction_id, r.created_at, r.received_at as completed_at,
       cast(r.account as bigint) as account_id""",
        tables="receipt r",
        named="r.public_id",
        rail="r.ref",
        external_id="(select c.external_id from pix_charge c where c.id = r.charge_id)",
        created_at="r.created_at",
        table="r",
        shown="""
       r.gateway = 'pix' and r.origin in ('repeat', 'direct') and r.state = 'booked' and r.public_id is not null""",
    ),
    _Kind(
        direction="outbound",
        columns="""
       p.uuid, p.id as transaction_id, p.end_to_end_id, p.external_id, 'outbound' as direction,
       case when p.state in ('accepted', 'submitting', 'unknown', 'held') then 'processing' else p.state end as status,
       p.units, p.fee_units, p.description, p.recipient_name as counterparty_name, p.recipient_key,
       cast(null as text) as payer_document, p.recipient_document, cast(null as text) as payer_ispb,
       cast(null as text) as payer_bank_name, cast(null as text) as original_transaction_id, p.created_at,
       p.completed_at, p.account_id""",
        tables="pix_payout p",
        named="p.id",
        rail="p.end_to_end_id",
        external_id="p.external_id",
        created_at="p.created_at",
        table="p",
    ),
    _Kind(
        direction="inbound",
        columns="""
       b.uuid, b.id as transaction_id, b.return_id as end_to_end_id, p.external_id, 'inbound' as direction,
       'completed' as status, b.units, 0 as fee_units, cast(null as text) as description,
       p.recipient_name as counterparty_name, cast(null as text) as recipient_key,
       p.recipient_document as payer_document, cast(null as text) as recipient_document,
       cast(null as text) as payer_ispb, cast(null as text) as payer_bank_name,
       b.payout_id as original_transaction_id, b.created_at, b.returned_at as completed_at, b.account_id""",
        tables="pix_payout_return b join pix_payout p on p.id = b.payout_id",
        named="b.id",
        rail="b.return_id",
        external_id="p.external_id",
        created_at="b.created_at",
        table="b",
    ),
    _Kind(
        direction="outbound",
        columns="""
       f.uuid, f.public_id as transaction_id, f.gateway_ref as end_to_end_id,
       (select c.external_id from pix_charge c where c.id = r.charge_id) as external_id, 'outbound' as direction,
       case f.status when 'pending' then 'processing' else f.status end as status, f.charge_units as units,
       0 as fee_units, cast(null as text) as description, r.payer_name as counterparty_name,
       cast(null as text) as recipient_key, cast(null as text) as payer_document,
       r.payer_document as recipient_document, cast(null as text) as payer_ispb,
       cast(null as text) as payer_bank_name, coalesce(r.public_id, r.charge_id) as original_transaction_id,
       f.created_at, case when f.status = 'completed' then f.processed_at end as completed_at,
       cast(r.account as bigint) as account_id""",
        tables="refund f join receipt r on r.id = f.receipt_id",
        named="f.public_id",
        rail="f.gateway_ref",
        external_id="(select c.external_id from pix_charge c where c.id = r.charge_id)",
        created_at="f.created_at",
        table="f",
        shown="f.gateway = 'pix' and f.public_id is not null",
    ),
    _Kind(
        direction="outbound",
        columns="""
       x.uuid, x.id as transaction_id, x.return_id as end_to_end_id,
       (select c.external_id from pix_charge c where c.id = r.charge_id) as external_id, 'outbound' as direction,
       'completed' as status, x.units, 0 as fee_units, cast(null as text) as description,
       r.payer_name as counterparty_name, cast(null as text) as recipient_key, cast(null as text) as payer_document,
       r.payer_document as recipient_document, cast(null as text) as payer_ispb,
       cast(null as text) as payer_bank_name, coalesce(r.public_id, r.charge_id) as original_transaction_id,
       x.created_at, x.returned_at as completed_at, x.account_id""",
        tables="pix_infraction_return x join receipt r on r.id = x.receipt_id",
        named="x.id",
        rail="x.return_id",
        external_id="(select c.external_id from pix_charge c where c.id = r.charge_id)",
        created_at="x.created_at",
        table="x",
    ),
)


def page(tx: ReadTx, filters: Filters, *, owner: Owner, offset: int, limit: int) -> Sequence[Row]:
    """Return one page of an owner's movements, newest first."""
    statuses = {f"status{number}": word for number, word in enumerate(sorted(filters.statuses or ()))}
    shown = "1 = 1" if filters.statuses is None else f"status in ({', '.join(f':{name}' for name in statuses)})"
    kinds = [kind for kind in _KINDS if filters.direction in (None, kind.direction)]
    arms = [_arm(tx, kind, _narrowed(kind, filters), shown) for kind in kinds]
    bounds = {"since": filters.since, "before": filters.before, "external_id": filters.external_id}
    asked = {name: value for name, value in bounds.items() if value is not None}
    return _rows(tx, arms, owner, offset=offset, limit=limit, most=offset + limit, **asked, **statuses)


def find(tx: ReadTx, ref: str, *, owner: Owner) -> Row | None:
    """Return the movement of an id or of a row's UUID."""
    return _newest(tx, lambda kind: kind.named, ref, owner)


def find_uuid(tx: ReadTx, uuid: str, *, owner: Owner) -> Row | None:
    return _newest(tx, lambda kind: f"{kind.table}.uuid", uuid, owner)


def find_rail_id(tx: ReadTx, rail_id: str, *, owner: Owner) -> Row | None:
    """Return the movement of an end-to-end id or return id."""
    return _newest(tx, lambda kind: kind.rail, rail_id, owner)


def find_external_id(tx: ReadTx, external_id: str, *, owner: Owner) -> Row | None:
    """Return the newest movement with an id of the merchant's own."""
    return _newest(tx, lambda kind: kind.external_id, external_id, owner)


def tagged(tx: ReadTx, tag: str, *, owner: Owner) -> Sequence[Row]:
    """Return the movements whose id begins with *tag*, newest first."""
    bytewise = by_bytes(tx)
    arms = [
        _arm(tx, kind, f"{kind.named}{bytewise} >= :tag and {kind.named}{bytewise} < :beyond", "1 = 1")
        for kind in _KINDS
    ]
    return _rows(tx, arms, owner, offset=0, limit=TAGGED_MAX, most=TAGGED_MAX, tag=tag, beyond=f"{tag}~")


def charges(
    tx: ReadTx, *, owner: Owner, limit: int, state: str | None = None, before: str | None = None
) -> Sequence[Row]:
    """Return charges with the payment each is of, newest first, older than the one with the id *before*."""
    narrowed = "and c.state = :state" if state else ""
    older = (
        """and (c.created_at, c.id) < (select b.created_at, b.id from pix_charge b
                                        where b.id = :before and b.merchant_id = :merchant_id and b.mode = :mode)"""
        if before
        else ""
    )
    return tx.all(
        f"""
        select c.id, c.state, c.units, c.key, c.external_id, c.expires_at, c.created_at, p.reference, r.ref as rail_id
          from pix_charge c join payment p on p.id = c.payment_id
          left join receipt r on r.charge_id = c.id and r.origin = 'charge'
         where c.merchant_id = :merchant_id and c.mode = :mode {narrowed} {older}
         order by c.created_at desc, c.id desc limit :limit
        """,
        limit=limit,
        **owner.columns,
        **({"state": state} if state else {}),
        **({"before": before} if before else {}),
    )


def returns(tx: ReadTx, *, owner: Owner, limit: int, before: Instant | None = None) -> Sequence[Row]:
    """Return what went back and what came back over the rail, newest first, from before an instant.

    *kind*: `refund` (we gave it back), `payout` (a payout came back), `infraction` (the bank took it back).
    """
    older = "and {}.created_at < :before" if before is not None else ""
    return tx.all(
        f"""
        select * from (
          select * from (
            select 'refund' as kind, coalesce(f.public_id, f.uuid) as id, f.gateway_ref as return_id, f.status as state,
                   f.charge_units as units, f.reason, p.reference as subject, f.created_at
              from refund f left join payment p on p.id = f.payment_id
             where f.merchant_id = :merchant_id and f.mode = :mode and f.gateway = 'pix' {older.format("f")}
             order by f.created_at desc limit :limit) refunds
          union all
          select * from (
            select 'payout', b.id, b.return_id, 'completed', b.units, b.reason, b.payout_id, b.created_at
              from pix_payout_return b
             where b.merchant_id = :merchant_id and b.mode = :mode {older.format("b")}
             order by b.created_at desc limit :limit) payouts
          union all
          select * from (
            select 'infraction', x.id, x.return_id, 'completed', x.units, i.reason, x.infraction_id, x.created_at
              from pix_infraction_return x join pix_infraction i on i.id = x.infraction_id
             where x.merchant_id = :merchant_id and x.mode = :mode {older.format("x")}
             order by x.created_at desc limit :limit) infractions
        ) found order by created_at desc, id desc limit :limit
        """,
        limit=limit,
        **owner.columns,
        **({"before": before} if before is not None else {}),
    )


def institution(tx: ReadTx, account_id: int, *, owner: Owner) -> Row | None:
    """Return the bank of a provider account."""
    return tx.one_or_none(
        """
        select bank_name, bank_document, bank_ispb from pix_account
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=account_id,
        **owner.columns,
    )


def keys(tx: ReadTx, *, owner: Owner) -> Sequence[Row]:
    """Return an owner's PIX keys, oldest first. An account has twenty at most."""
    return tx.all(
        """
        select key, key_type, status, created_at from pix_key
         where merchant_id = :merchant_id and mode = :mode and status <> 'removed' order by id limit 100
        """,
        **owner.columns,
    )


def _narrowed(kind: _Kind, filters: Filters) -> str:
    conditions = ["1 = 1"]
    if filters.since is not None:
        conditions.append(f"{kind.created_at} >= :since")
    if filters.before is not None:
        conditions.append(f"{kind.created_at} < :before")
    if filters.external_id is not None:
        conditions.append(f"{kind.external_id} = :external_id")
    if filters.moved:
        conditions.append(kind.moved)
    return " and ".join(conditions)


def _arm(tx: ReadTx, kind: _Kind, condition: str, outside: str) -> str:
    """Return the newest rows of one table that can be on the page. Each table has an index in this order."""
    return f"""
    select * from (
      select * from (
        select {kind.columns}
          from {kind.tables}
         where {kind.table}.merchant_id = :merchant_id and {kind.table}.mode = :mode and {kind.shown}
           and {condition}
      ) narrowed where {outside} order by created_at desc, transaction_id{by_bytes(tx)} desc limit :most
    ) newest"""


def _newest(tx: ReadTx, column: Callable[[_Kind], str], value: str, owner: Owner) -> Row | None:
    arms = [_arm(tx, kind, f"{column(kind)} = :value", "1 = 1") for kind in _KINDS]
    found = _rows(tx, arms, owner, offset=0, limit=1, most=1, value=value)
    return found[0] if found else None


def _rows(tx: ReadTx, arms: Sequence[str], owner: Owner, **params: Any) -> Sequence[Row]:
    return tx.all(
        f"""
        select * from ({" union all ".join(arms)}) found
         order by created_at desc, transaction_id{by_bytes(tx)} desc limit :limit offset :offset
        """,
        **owner.columns,
        **params,
    )
