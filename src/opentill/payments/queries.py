"""Reading payments for APIs, pages and lists. Read-only."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.blocks import Block, Blocks
from opentill.db.listing import Listing
from opentill.kernel.clock import Instant
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments import anchors, store, tallies
from opentill.payments.model import Detail, Payment, Session
from opentill.payments.tallies import Held

UUID_FORM: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
REFERENCE_FORM: Final = re.compile(r"txn_[0-9a-f]{16}", re.ASCII)
ID_FORM: Final = re.compile(r"[0-9]{1,15}", re.ASCII)  # numeric ids stay below 2^53
TOKEN_FORM: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; None means anything (merchant-api.md §8)."""

    statuses: tuple[str, ...] | None = None
    gateway: str | None = None
    since: Instant | None = None
    before: Instant | None = None  # exclusive
    order_id: str | None = None
    payment_uuid: str | None = None

    @property
    def broad(self) -> bool:
        """Tell whether payments may pass by the hundred thousand, though not all of them."""
        return self != EVERYTHING and self.order_id is None and self.payment_uuid is None

    def take(self, held: Held) -> bool:
        """Tell whether a kind of payment passes, if its time does. None of them waits any more."""
        by_state = (
            self.statuses is None or held.detail in self.statuses or (held.disputed and DISPUTED in self.statuses)
        )
        return bool(by_state) and self.gateway in (None, held.gateway)


DISPUTED: Final = "disputed"  # a word for a flag, beside those of states
EVERYTHING: Final = Filters()
EXPORT_PAGE: Final = 1_000  # rows read at once

_EXPORT: Final = """
        select p.id, p.uuid, p.reference, p.order_id, p.status, p.gateway, p.gateway_ref, p.units, p.currency,
               p.fee_units, p.refunded_units, p.charge_units, p.charge_currency, p.created_at, p.completed_at,
               p.expires_at
          from payment p"""

# What a status stands for in SQL, as it is shown: a pending payment past its time is an expired one.
_SHOWN: Final = {
    **{detail.value: f"p.detail = '{detail.value}'" for detail in Detail},
    "pending": "(p.detail = 'pending' and p.expires_at > :now)",
    "expired": "(p.detail = 'expired' or (p.detail = 'pending' and p.expires_at <= :now))",
    DISPUTED: f"p.{tallies.DISPUTED}",
}


def find(tx: ReadTx, ref: str, *, owner: Owner, keyring: Keyring) -> Payment | None:
    """Return an owner's payment by `txn_…`, UUID, provider reference or number, tried in this order."""
    if REFERENCE_FORM.fullmatch(ref):
        return store.one(tx, "p.reference = :ref", owner=owner, keyring=keyring, ref=ref)
    if UUID_FORM.fullmatch(ref):
        return store.one(tx, "p.uuid = :ref", owner=owner, keyring=keyring, ref=ref.lower())
    found = store.one(tx, "p.gateway_ref = :ref", owner=owner, keyring=keyring, ref=ref)
    if found is None and ID_FORM.fullmatch(ref):
        return store.one(tx, "p.id = :ref", owner=owner, keyring=keyring, ref=int(ref))
    return found


def by_id(tx: ReadTx, payment_id: int, *, owner: Owner, keyring: Keyring) -> Payment | None:
    return store.one(tx, "p.id = :id", owner=owner, keyring=keyring, id=payment_id)


def names_of(tx: ReadTx, uuids: Collection[str], *, owner: Owner) -> dict[str, tuple[int, str]]:
    """Return the number and the reference of each of an owner's payments, by UUID."""
    if not uuids:
        return {}
    params = {f"uuid_{number}": uuid for number, uuid in enumerate(uuids)}
    rows = tx.all(
        f"""
        select uuid, id, reference from payment
         where merchant_id = :merchant_id and mode = :mode and uuid in ({", ".join(f":{name}" for name in params)})
        """,
        **owner.columns,
        **params,
    )
    return {row["uuid"]: (row["id"], row["reference"]) for row in rows}


def pending_twin(tx: ReadTx, payment: Payment, *, since: Instant, now: Instant, keyring: Keyring) -> Payment | None:
    """Return the newest payment of the same order and amount that was created after *since* and still waits."""
    row = tx.one_or_none(
        """
        select id from payment
         where merchant_id = :merchant_id and mode = :mode and order_id = :order_id and units = :units
           and currency = :currency and detail = 'pending' and created_at > :since and expires_at > :now
         order by id desc limit 1
        """,
        **payment.owner.columns,
        order_id=payment.order_id,
        units=payment.amount.units,
        currency=payment.amount.currency.code,
        since=since,
        now=now,
    )
    return None if row is None else store.one(tx, "p.id = :id", owner=payment.owner, keyring=keyring, id=row["id"])


def by_token(tx: ReadTx, token: str, *, keyring: Keyring) -> Payment | None:
    """Return the payment a checkout address names. The token is the payer's permission; no owner is asked for."""
    if not TOKEN_FORM.fullmatch(token):
        return None
    row = tx.one_or_none(f"{store.PAYMENT} where p.token = :token", token=token)
    return store.as_payment(row, keyring) if row else None


def open_session(tx: ReadTx, payment: Payment) -> Session | None:
    return store.open_session(tx, payment.id, owner=payment.owner)


def last_session(tx: ReadTx, payment: Payment) -> Session | None:
    return store.last_session(tx, payment.id, owner=payment.owner)


def page(
    tx: ReadTx,
    filters: Filters,
    *,
    owner: Owner,
    keyring: Keyring,
    now: Instant,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> Sequence[Payment]:
    """Return up to *limit* payments, newest first: those with ids below *before*, or after *offset* of them."""
    if filters.broad:

        def read(block: Block, limit: int, offset: int) -> Sequence[Payment]:
            return _read(tx, _within(filters, block, owner, now), keyring=keyring, limit=limit, offset=offset)

        return _blocks(tx, filters, owner, now).below(before).page(read, offset=offset, limit=limit)
    listing = _narrowed(filters, owner, now).asked("p.id < :before", before=before)
    if before is None and filters == EVERYTHING:
        newest, offset = anchors.from_newest(tx, offset, owner=owner)
        listing.asked("p.id <= :newest", newest=newest)
    return _read(tx, listing, keyring=keyring, limit=limit, offset=offset)


def _blocks(tx: ReadTx, filters: Filters, owner: Owner, now: Instant) -> Blocks:
    found = tallies.blocks(tx, owner=owner, since=filters.since, until=filters.before, take=filters.take)
    return Blocks(found, lambda block: _within(filters, block, owner, now).count(tx, "payment p"))


def _within(filters: Filters, block: Block, owner: Owner, now: Instant) -> Listing:
    listing = _narrowed(filters, owner, now)
    return listing.where("p.id > :above and p.id <= :up_to", above=block.above, up_to=block.up_to)


def _read(tx: ReadTx, listing: Listing, *, keyring: Keyring, limit: int, offset: int) -> Sequence[Payment]:
    # The page is cut on the index first, so that only its rows are joined.
    rows = tx.all(
        f"""{store.PAYMENT}
         where p.id in (
               select p.id from payment p where {listing.condition} order by p.id desc limit :limit offset :offset)
         order by p.id desc
        """,
        limit=limit,
        offset=offset,
        **listing.params,
    )
    return [store.as_payment(row, keyring) for row in rows]


@dataclass(frozen=True, slots=True)
class ExportLine:
    """A payment as sheets show it: what was asked, and beside it what the gateway charged if that is another."""

    id: int
    uuid: str
    reference: str
    order_id: str | None
    status: str
    gateway: str | None
    gateway_ref: str | None
    amount: Money
    fee: Money
    refunded: Money
    charge: Money | None
    created_at: Instant
    completed_at: Instant | None


def export(
    tx: ReadTx, *, filters: Filters, owner: Owner, now: Instant, before: int | None = None
) -> Sequence[ExportLine]:
    """Return up to EXPORT_PAGE payments, newest first, with ids below *before*; nobody's name is read."""
    rows = _narrowed(filters, owner, now).page(tx, _EXPORT, limit=EXPORT_PAGE, before=before)
    return [_export_line(row, now) for row in rows]


def _export_line(row: Row, now: Instant) -> ExportLine:
    in_currency = currency(row["currency"])
    lapsed = row["status"] == "pending" and now >= row["expires_at"]
    return ExportLine(
        id=row["id"],
        uuid=row["uuid"],
        reference=row["reference"],
        order_id=row["order_id"],
        status="expired" if lapsed else row["status"],
        gateway=row["gateway"],
        gateway_ref=row["gateway_ref"],
        amount=Money(row["units"], in_currency),
        fee=Money(row["fee_units"], in_currency),
        refunded=Money(row["refunded_units"], in_currency),
        charge=Money(row["charge_units"], currency(row["charge_currency"])) if row["charge_units"] else None,
        created_at=row["created_at"],
        completed_at=row["completed_at"],
    )


def count(tx: ReadTx, filters: Filters, *, owner: Owner, now: Instant) -> int:
    """Return how many of an owner's payments pass the filters."""
    if filters == EVERYTHING:
        return anchors.count(tx, owner=owner)
    if filters.broad:
        return _blocks(tx, filters, owner, now).total()
    return _narrowed(filters, owner, now).count(tx, "payment p")


def narrowed(filters: Filters, owner: Owner, table: str) -> Listing:
    """Return what a list of payments, or of what belongs to a payment `p`, is narrowed to but for its status."""
    listing = Listing(owner, table).created(filters.since, filters.before)
    listing.asked(f"{table}.gateway = :gateway", gateway=filters.gateway)
    listing.asked("p.order_id = :order_id", order_id=filters.order_id)
    return listing.asked("p.uuid = :payment_uuid", payment_uuid=filters.payment_uuid)


def merchant_name(tx: ReadTx, owner: Owner) -> str:
    row = tx.one_or_none("select name from merchant where id = :id", id=owner.merchant_id)
    name: str = row["name"] if row else ""
    return name


def _narrowed(filters: Filters, owner: Owner, now: Instant) -> Listing:
    return narrowed(filters, owner, "p").shown_as(filters.statuses, _SHOWN, now=now)
