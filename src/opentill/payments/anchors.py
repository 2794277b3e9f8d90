"""Every thousandth payment of an owner, so that a page by its number is a short walk (docs/adr/0011).

Payments are never removed, and ids only grow, so the place of a payment among its owner's is fixed once nothing
older can appear. A worker sets an anchor at every thousandth such place. A list then counts and skips from the
nearest anchor instead of from its end; creating a payment costs nothing more.
"""

from typing import Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.db.blocks import ROWS
from opentill.kernel.clock import MINUTE, Instant
from opentill.kernel.owner import Owner

STEP: Final = ROWS  # payments between two anchors
SETTLED: Final = 5 * MINUTE  # of younger payments, an older one may still be uncommitted
OWNERS_MAX: Final = 500  # in one transaction

_OWNED: Final = "merchant_id = :merchant_id and mode = :mode"


class Anchor(NamedTuple):
    """A payment, and how many of its owner's there are up to it. The first one is before all of them."""

    ordinal: int
    payment_id: int


START: Final = Anchor(0, 0)


def extend(tx: Tx, *, now: Instant, after: int = 0) -> tuple[int, int | None]:
    """Set the next anchor of each owner who is due one; return how many, and the merchant to go on after, or None.

    Safe to repeat, and at once by several workers.
    """
    due = tx.all(
        f"""
        select m.id as merchant_id, m.mode, coalesce(a.ordinal, 0) as ordinal,
               (select p.id from payment p
                 where p.merchant_id = m.id and p.mode = m.mode and p.id > coalesce(a.payment_id, 0)
                 order by p.id limit 1 offset {STEP - 1}) as payment_id
          from (select id, mode from merchant where id > :after order by id limit :most) m
          left join payment_anchor a
            on a.merchant_id = m.id and a.mode = m.mode
           and a.ordinal = (select max(l.ordinal) from payment_anchor l where l.merchant_id = m.id and l.mode = m.mode)
         order by m.id
        """,
        after=after,
        most=OWNERS_MAX,
    )
    made = sum(_set(tx, row, now) for row in due if row["payment_id"] is not None)
    return made, due[-1]["merchant_id"] if len(due) == OWNERS_MAX else None


def forget(tx: Tx, anchor: Row) -> None:
    """Remove an anchor that stands at a wrong place, and those after it, which stand by it."""
    tx.run(
        f"delete from payment_anchor where {_OWNED} and ordinal >= :ordinal",
        merchant_id=anchor["merchant_id"],
        mode=anchor["mode"],
        ordinal=anchor["ordinal"],
    )


def count(tx: ReadTx, *, owner: Owner) -> int:
    """Return how many payments an owner has."""
    last = _one(tx, f"where {_OWNED} order by ordinal desc limit 1", owner) or START
    row = tx.one_or_none(
        f"select count(*) as n from payment where {_OWNED} and id > :after", after=last.payment_id, **owner.columns
    )
    return last.ordinal + (row["n"] if row else 0)


def from_newest(tx: ReadTx, offset: int, *, owner: Owner) -> tuple[int | None, int]:
    """Return where to begin a page *offset* payments from the newest: the highest id, and how many to skip there."""
    if offset < STEP:
        return None, offset
    place = count(tx, owner=owner) - offset  # of the page's first payment, counted from the oldest
    anchor = _one(tx, f"where {_OWNED} and ordinal >= :place order by ordinal limit 1", owner, place=max(place, 1))
    return (None, offset) if anchor is None else (anchor.payment_id, anchor.ordinal - place)


def _set(tx: Tx, row: Row, now: Instant) -> int:
    """Anchor a payment if it is old enough."""
    return tx.run(
        """
        insert into payment_anchor (merchant_id, mode, ordinal, payment_id, created_at, set_at)
        select merchant_id, mode, :ordinal, id, created_at, :now
          from payment where id = :id and created_at <= :settled
        on conflict (merchant_id, mode, ordinal) do nothing
        """,
        ordinal=row["ordinal"] + STEP,
        id=row["payment_id"],
        now=now,
        settled=now - SETTLED,
    )


def _one(tx: ReadTx, clause: str, owner: Owner, **params: int) -> Anchor | None:
    row = tx.one_or_none(f"select ordinal, payment_id from payment_anchor {clause}", **owner.columns, **params)
    return Anchor(row["ordinal"], row["payment_id"]) if row else None
