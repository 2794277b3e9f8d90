"""Reading refunds for APIs and screens. Read-only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.listing import Listing
from opentill.kernel.owner import Owner
from opentill.payments.model import Refund
from opentill.payments.queries import EVERYTHING, ID_FORM, REFERENCE_FORM, UUID_FORM, Filters, narrowed
from opentill.payments.refunds import store as rows
from opentill.payments.refunds.model import ShownRefund

# Every refund with the names of the payment it belongs to, which is its receipt's.
_SHOWN: Final = f"""
        select {rows.COLUMNS}, p.id as transaction_id, p.reference, p.uuid as payment_uuid, m.ref as receipt_ref
          from refund r
          join receipt m on m.id = r.receipt_id
          join payment p on p.id = coalesce(r.payment_id, m.payment_id)"""
_PAYMENT: Final = "coalesce(r.payment_id, (select m.payment_id from receipt m where m.id = r.receipt_id))"


def shown(tx: ReadTx, refund: Refund) -> ShownRefund:
    """Return a refund as it stands now, with the names of its payment."""
    [row] = Listing(refund.owner, "r").where("r.id = :id", id=refund.id).page(tx, _SHOWN, limit=1)
    return _as_shown(row)


def find(tx: ReadTx, ref: str, *, owner: Owner) -> ShownRefund | None:
    """Return an owner's refund by its own UUID, else the newest of the transaction that *ref* names."""
    if UUID_FORM.fullmatch(ref):
        found = _newest(tx, "r.uuid = :ref", ref.lower(), owner=owner)
        if found is not None:
            return found
    transaction = _transactions(tx, ref, owner=owner)
    return _newest(tx, "r.payment_id = :ref", transaction[-1], owner=owner) if transaction else None


def transaction_named(tx: ReadTx, ref: str, *, owner: Owner) -> Sequence[int]:
    """Return the ids of the transactions a reference can mean, at most two; a write must mean one (D11)."""
    return _transactions(tx, ref, owner=owner)


def page(
    tx: ReadTx,
    filters: Filters,
    *,
    transaction: str | None,
    owner: Owner,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> Sequence[ShownRefund]:
    """Return up to *limit* refunds, newest first: those with ids below *before*, or after *offset* of them."""
    listing = _listing(tx, filters, transaction, owner).asked("r.id < :before", before=before)
    # The page is cut on the index first, so that only its rows are joined.
    found = tx.all(
        f"""{_SHOWN}
         where r.id in (
               select r.id from refund r where {listing.condition} order by r.id desc limit :limit offset :offset)
         order by r.id desc
        """,
        limit=limit,
        offset=offset,
        **listing.params,
    )
    return [_as_shown(row) for row in found]


def count(tx: ReadTx, filters: Filters, *, transaction: str | None, owner: Owner) -> int:
    """Return how many of an owner's refunds pass the filters."""
    return _listing(tx, filters, transaction, owner).count(tx, "refund r")


def _newest(tx: ReadTx, condition: str, ref: str | int, *, owner: Owner) -> ShownRefund | None:
    row = Listing(owner, "r").where(condition, ref=ref).newest(tx, _SHOWN)
    return _as_shown(row) if row else None


def _transactions(tx: ReadTx, ref: str, *, owner: Owner) -> list[int]:
    """Return up to two ids, the better match last."""
    if REFERENCE_FORM.fullmatch(ref):
        return _ids(tx, "reference = :ref", ref, owner)
    if UUID_FORM.fullmatch(ref):
        return _ids(tx, "uuid = :ref", ref.lower(), owner)
    by_number = _ids(tx, "id = :ref", int(ref), owner) if ID_FORM.fullmatch(ref) else []
    by_provider = _ids(tx, "gateway_ref = :ref", ref, owner)
    return [number for number in by_number if number not in by_provider] + by_provider


def _ids(tx: ReadTx, condition: str, ref: str | int, owner: Owner) -> list[int]:
    found = tx.all(
        f"""
        select id from payment
         where {condition} and merchant_id = :merchant_id and mode = :mode order by id limit 2
        """,
        ref=ref,
        **owner.columns,
    )
    return [row["id"] for row in found]


def _listing(tx: ReadTx, filters: Filters, transaction: str | None, owner: Owner) -> Listing:
    """Return what refunds are narrowed to. Those of money that belongs to no payment are not listed."""
    own = replace(filters, order_id=None, payment_uuid=None)
    listing = narrowed(own, owner, "r").one_of("r.status", filters.statuses)
    if transaction is not None:
        listing.one_of("r.payment_id", _transactions(tx, transaction, owner=owner)[-1:])
    of_payment = Filters(order_id=filters.order_id, payment_uuid=filters.payment_uuid)
    if of_payment == EVERYTHING:
        return listing.where(f"{_PAYMENT} is not null")
    wanted = narrowed(of_payment, owner, "p")
    return listing.where(f"{_PAYMENT} in (select p.id from payment p where {wanted.condition})", **wanted.params)


def _as_shown(row: Row) -> ShownRefund:
    return ShownRefund(
        rows.as_refund(row), row["transaction_id"], row["reference"], row["payment_uuid"], row["receipt_ref"]
    )
