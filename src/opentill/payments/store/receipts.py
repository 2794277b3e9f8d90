"""SQL of receipts: money that arrived."""

from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.ids import uuid_of
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.payments.model import BookedReceipt, Receipt
from opentill.pix.identifiers import RAIL_HEAD_CHARACTERS, RAIL_ID_CHARACTERS
from opentill.pix.model import GATEWAY as PIX

RECEIPT: Final = """
        select id, merchant_id, mode, payment_id, gateway, account, ref, units, currency, fee_units, refunding_units,
               origin, state, received_at
          from receipt
"""

# Where money is counted, of an owner; and the part of it whose PIX id differs in capitals at most. Two ids of banks are
# two, whatever they differ in: only people mistake letters. What people noted has an index by its letters.
COUNTED: Final = "select id, payment_id, ref from receipt where merchant_id = :merchant_id and mode = :mode"
SAME_LETTERS: Final = f"""
           gateway = '{PIX}' and length(ref) = {RAIL_ID_CHARACTERS} and again = 0
           and upper(ref) = :letters
"""
NOTED_BY_HAND: Final = "accepted = 1 and payer_ispb is null"


def insert_receipt(
    tx: Tx,
    receipt: Receipt,
    *,
    payment_id: int | None,
    fee: Money,
    origin: str,
    now: Instant,
    state: str = "booked",
    public_id: str | None = None,
    late: bool = False,
    accepted: bool = False,
) -> int | None:
    """Insert a receipt and return its id, or None if this money is counted already."""
    rows = tx.all(
        """
        insert into receipt (merchant_id, mode, gateway, account, ref, public_id, payment_id, units, currency,
                             fee_units, origin, state, late, accepted, payer_name, payer_document, payer_ispb,
                             payer_bank_name, charge_id, uuid, received_at, created_at)
        values (:merchant_id, :mode, :gateway, :account, :ref, :public_id, :payment_id, :units, :currency,
                :fee_units, :origin, :state, :late, :accepted, :payer_name, :payer_document, :payer_ispb,
                :payer_bank_name, :charge_id, :uuid, :received_at, :now)
        on conflict do nothing
        returning id
        """,
        **receipt.owner.columns,
        gateway=receipt.gateway,
        account=receipt.account,
        ref=receipt.ref,
        public_id=public_id,
        payment_id=payment_id,
        units=receipt.amount.units,
        currency=receipt.amount.currency.code,
        fee_units=fee.units,
        origin=origin,
        state=state,
        late=int(late),
        accepted=int(accepted),
        payer_name=receipt.payer_name,
        payer_document=receipt.payer_document,
        payer_ispb=receipt.payer_ispb,
        payer_bank_name=receipt.payer_bank_name,
        charge_id=receipt.charge_id,
        uuid=uuid_of(f"receipt {receipt.owner} {receipt.gateway} {receipt.account} {receipt.ref}"),
        received_at=receipt.received_at,
        now=now,
    )
    return rows[0]["id"] if rows else None


def same_money(gateway: str, account: str, ref: str) -> tuple[str, dict[str, str]]:
    """Return the condition that finds money by the name its provider has for it, and its values.

    An id of the PIX rail names one payment in all of PIX, whichever of the owner's accounts tells of it.
    """
    if gateway == PIX and len(ref) == RAIL_ID_CHARACTERS:
        return f"gateway = '{PIX}' and length(ref) = {RAIL_ID_CHARACTERS} and again = 0 and ref = :ref", {"ref": ref}
    named = {"gateway": gateway, "account": account, "ref": ref}
    return "gateway = :gateway and account = :account and ref = :ref", named


def accept_receipt(tx: Tx, receipt: BookedReceipt, *, fee: Money, late: bool) -> None:
    """Save held money as what completed its payment."""
    tx.run(
        """
        update receipt set state = 'booked', fee_units = :fee_units, late = :late, accepted = 1
         where id = :id and merchant_id = :merchant_id and mode = :mode and state = 'held'
        """,
        id=receipt.id,
        **receipt.owner.columns,
        fee_units=fee.units,
        late=int(late),
    )


def counted_receipt(tx: ReadTx, receipt: Receipt) -> Row | None:
    """Return where this money is counted already: the `id` of its row, its `payment_id` and the `ref` it is kept under.

    Who noted it before its bank told of it may have mistaken the capitals of its id.
    """
    condition, named = same_money(receipt.gateway, receipt.account, receipt.ref)
    if receipt.payer_ispb is None:
        return tx.one_or_none(f"{COUNTED} and {condition}", **receipt.owner.columns, **named)
    return tx.one_or_none(
        f"""
        select id, payment_id, ref
          from (select 0 as place, c.* from ({COUNTED} and {condition}) c
                union all
                select 1 as place, c.* from ({COUNTED} and {SAME_LETTERS} and {NOTED_BY_HAND}) c) counted
         order by place, id limit 1
        """,
        **receipt.owner.columns,
        **named,
        letters=receipt.ref.upper(),
    )


def lock_letters(tx: Tx, ref: str) -> None:
    """Let nobody else count PIX money under an id of the same letters until *tx* ends. What counts it is looked for
    after this, in a statement of its own. Its payment, if it has one, is locked before.

    SQLite has one writer, so nobody else does.
    """
    if tx.dialect == "postgres":
        tx.all("select pg_advisory_xact_lock(hashtextextended(cast(:letters as text), 0))", letters=ref.upper())


def same_letters(tx: ReadTx, ref: str, *, owner: Owner) -> Row | None:
    """Return where PIX money is counted under an id that differs in capitals at most, as `counted_receipt` does.

    Ids with the same head, those of one bank's minute, lie together in the index.
    """
    head = ref[:RAIL_HEAD_CHARACTERS]
    return tx.one_or_none(
        f"{COUNTED} and {SAME_LETTERS} and ref between :head and :beyond order by id limit 1",
        **owner.columns,
        letters=ref.upper(),
        head=head,
        beyond=head.ljust(RAIL_ID_CHARACTERS + 1, "z"),  # no letter or digit sorts after z
    )


def receipt(tx: ReadTx, receipt_id: int, *, owner: Owner, lock: str = "") -> BookedReceipt | None:
    """Return an owner's receipt."""
    row = tx.one_or_none(
        f"{RECEIPT} where id = :id and merchant_id = :merchant_id and mode = :mode{lock}",
        id=receipt_id,
        **owner.columns,
    )
    return as_receipt(row) if row else None


def told_receipt(tx: ReadTx, receipt_id: int, *, owner: Owner) -> Receipt:
    """Return an owner's receipt that exists, as its provider told of it."""
    [row] = tx.all(
        """
        select gateway, account, ref, units, currency, received_at, payer_name, payer_document, payer_ispb,
               payer_bank_name, charge_id
          from receipt where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=receipt_id,
        **owner.columns,
    )
    told = dict(row)
    return Receipt(owner, amount=Money(told.pop("units"), currency(told.pop("currency"))), **told)


def lock_receipt(tx: Tx, receipt_id: int, *, owner: Owner) -> BookedReceipt | None:
    """Load an owner's receipt and lock its row until *tx* ends. Its payment, if it has one, is locked before."""
    return receipt(tx, receipt_id, owner=owner, lock=for_update(tx))


def completing_receipt(tx: Tx, payment_id: int, *, owner: Owner) -> BookedReceipt | None:
    """Load and lock the money that completed a payment."""
    row = tx.one_or_none(
        f"""{RECEIPT}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
           and origin = 'charge' and state = 'booked'{for_update(tx)}
        """,
        payment_id=payment_id,
        **owner.columns,
    )
    return as_receipt(row) if row else None


def as_receipt(row: Row) -> BookedReceipt:
    in_currency = currency(row["currency"])
    return BookedReceipt(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        payment_id=row["payment_id"],
        gateway=row["gateway"],
        account=row["account"],
        ref=row["ref"],
        amount=Money(row["units"], in_currency),
        fee=Money(row["fee_units"], in_currency),
        refunding=Money(row["refunding_units"], in_currency),
        origin=row["origin"],
        state=row["state"],
        received_at=row["received_at"],
    )
