"""Items of the review queue: claimed by one person, decided once, and every step of it in the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.operators import audit
from opentill.operators.model import Change
from opentill.operators.queries import name_of
from opentill.operators.reasons import Ending


@dataclass(frozen=True, slots=True)
class Actor:
    """Who decides, and from where."""

    name: str
    origin: str
    may_override: bool = False  # accept another amount than was asked
    may_take_over: bool = False  # what somebody else has claimed, who may be away


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the review queue."""

    id: int
    owner: Owner
    kind: str
    reason: str
    subject_type: str
    subject_id: str
    payment_id: int | None
    receipt_id: int | None
    claimed_by: str | None
    approved_by: str | None
    created_at: Instant
    resolved_at: Instant | None


def undecided(tx: Tx, item_id: int, owner: Owner) -> Item:
    """Return an item nobody has decided, locked after its payment. Raises NotFound and Conflict."""
    seen = _load(tx, item_id, owner)
    if seen.payment_id is not None:
        tx.all(f"select id from payment where id = :id{for_update(tx)}", id=seen.payment_id)
    item = _load(tx, item_id, owner, lock=for_update(tx))
    if item.resolved_at is not None:
        raise Conflict("INVALID_STATE", "This was decided already.")
    return item


def claimed(tx: Tx, item_id: int, owner: Owner, by: Actor) -> Item:
    """Return an undecided item that is this person's to decide. Raises NotFound and Conflict."""
    item = undecided(tx, item_id, owner)
    if item.claimed_by != by.name:
        if item.claimed_by is None:
            raise Conflict("INVALID_STATE", "Nobody has claimed this. Claim it first.")
        raise Conflict("INVALID_STATE", "%(operator)s has claimed this.", operator=name_of(tx, item.claimed_by))
    return item


def require_free(tx: ReadTx, payment_id: int, owner: Owner, by: Actor) -> None:
    """Raise Conflict where somebody else is deciding about a payment. Its lock keeps it so: `undecided` takes it."""
    rows = tx.all(
        """
        select claimed_by from review_item
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
           and resolved_at is null and claimed_by <> :by
        """,
        payment_id=payment_id,
        by=by.name,
        **owner.columns,
    )
    if rows:
        raise Conflict("INVALID_STATE", "%(operator)s has claimed this.", operator=name_of(tx, rows[0]["claimed_by"]))


def about(tx: Tx, receipt_id: int, owner: Owner, by: Actor) -> list[Item]:
    """Return what waits for a decision about money, each locked and this person's to decide. Raises as `claimed`."""
    rows = tx.all(
        """
        select i.id from review_item i
         where i.merchant_id = :merchant_id and i.mode = :mode and i.receipt_id = :receipt_id
           and i.resolved_at is null and i.kind <> 'refund'
         order by i.id
        """,
        receipt_id=receipt_id,
        **owner.columns,
    )
    return [claimed(tx, row["id"], owner, by) for row in rows]


def set_claim(tx: Tx, item: Item, by: str | None, now: Instant) -> None:
    tx.run(
        """
        update review_item set claimed_by = :by, claimed_at = :at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=item.id,
        by=by,
        at=now if by else None,
        **item.owner.columns,
    )


def set_question(tx: Tx, item: Item, question: str, now: Instant) -> None:
    tx.run(
        """
        update review_item set question = :question, asked_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=item.id,
        question=question,
        now=now,
        **item.owner.columns,
    )


def keep_approval(tx: Tx, item: Item, by: Actor) -> None:
    """Keep the first of two approvals and let the item go."""
    tx.run(
        """
        update review_item set approved_by = :by, claimed_by = null, claimed_at = null
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=item.id,
        by=by.name,
        **item.owner.columns,
    )


def resolve(
    tx: Tx, item: Item, by: Actor, ending: Ending, reason: str, detail: Mapping[str, Any], *, now: Instant
) -> None:
    tx.run(
        """
        update review_item set resolution = :resolution, resolved_by = :by, resolved_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=item.id,
        resolution=ending,
        by=by.name,
        now=now,
        **item.owner.columns,
    )
    subject = f"{item.subject_type} {item.subject_id}"
    audit.write(tx, change(by, item.owner, f"review.{ending}", subject, reason, **detail), now=now)


def note(tx: Tx, item: Item, by: Actor, action: str, *, now: Instant, **detail: object) -> None:
    audit.write(tx, change(by, item.owner, action, f"{item.subject_type} {item.subject_id}", "", **detail), now=now)


def change(by: Actor, owner: Owner, action: str, subject: str, reason: str, **detail: object) -> Change:
    return Change(by.name, by.origin, action, subject, detail, reason, owner.merchant_id)


def _load(tx: ReadTx, item_id: int, owner: Owner, *, lock: str = "") -> Item:
    row = tx.one_or_none(
        f"select * from review_item where id = :id and merchant_id = :merchant_id and mode = :mode{lock}",
        id=item_id,
        **owner.columns,
    )
    if row is None:
        raise NotFound("REVIEW_ITEM_NOT_FOUND", "There is no such item.")
    return _as_item(row)


def _as_item(row: Row) -> Item:
    return Item(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        kind=row["kind"],
        reason=row["reason"],
        subject_type=row["subject_type"],
        subject_id=row["subject_id"],
        payment_id=row["payment_id"],
        receipt_id=row["receipt_id"],
        claimed_by=row["claimed_by"],
        approved_by=row["approved_by"],
        created_at=row["created_at"],
        resolved_at=row["resolved_at"],
    )
