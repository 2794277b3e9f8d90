"""SQL of payments."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Currency, Money, currency
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.customers import store as customers
from opentill.payments.model import (
    Changes,
    Detail,
    InvoiceName,
    InvoiceStatus,
    LinkName,
    Payment,
    PaymentStatus,
)
from opentill.payments.store.conversions import charge_columns, conversion

PAYMENT: Final = """
        select p.id, p.uuid, p.reference, p.token, p.merchant_id, p.mode, p.status, p.detail, p.units, p.currency,
               p.fee_units, p.refunded_units, p.refunding_units, p.lost_units, p.order_id, p.description,
               p.redirect_url, p.cancel_url, p.callback_url,
               p.callback_bare, p.gateway, p.gateway_fixed, p.gateway_ref, p.metadata, p.late, p.by_hand,
               p.dispute_status,
               p.charge_units, p.charge_currency, p.charge_rate, p.charge_rate_at, p.created_at,
               p.updated_at, p.expires_at, p.completed_at, m.uuid as merchant_uuid, c.uuid as customer_uuid, c.sealed,
               p.customer_id, p.link_id, l.uuid as link_uuid, l.slug as link_slug, l.title as link_title,
               p.invoice_id, i.uuid as invoice_uuid, i.token as invoice_token, i.number as invoice_number,
               i.total_units as invoice_units, i.status as invoice_status, i.due_until_at as invoice_due_until_at
          from payment p
          join merchant m on m.id = p.merchant_id
          left join customer c on c.id = p.customer_id
          left join payment_link l on l.id = p.link_id
          left join invoice i on i.id = p.invoice_id
"""


def insert(tx: Tx, **columns: Any) -> None:
    """Insert a new payment, which is always pending, before the next statement."""
    tx.defer(
        """
        insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, order_id,
                             description, redirect_url, cancel_url, callback_url, callback_bare, gateway,
                             gateway_fixed, customer_id, link_id, invoice_id, metadata, created_at, updated_at,
                             expires_at)
        values (:uuid, :reference, :token, :merchant_id, :mode, 'pending', 'pending', :units, :currency, :order_id,
                :description, :redirect_url, :cancel_url, :callback_url, :callback_bare, :gateway,
                :gateway_fixed, :customer_id, :link_id, :invoice_id, :metadata, :now, :now, :expires_at)
        """,
        **columns,
    )


def lock(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring) -> Payment | None:
    """Load an owner's payment and lock its row until *tx* ends."""
    held, payment = tx.together(
        lambda tx: tx.one_or_none(
            f"""
            select id from payment where id = :id and merchant_id = :merchant_id and mode = :mode{for_update(tx)}
            """,
            id=payment_id,
            **owner.columns,
        ),
        lambda tx: one(tx, "p.id = :id", owner=owner, keyring=keyring, id=payment_id),
    )
    return payment if held else None


def one(tx: ReadTx, condition: str, *, owner: Owner, keyring: Keyring, **params: Any) -> Payment | None:
    """Return the newest of an owner's payments that meet a condition of this feature's own making."""
    row = tx.one_or_none(_newest(condition), **owner.columns, **params)
    return as_payment(row, keyring) if row else None


@cache  # a driver finds what it prepared sooner by a text that it has seen before
def _newest(condition: str) -> str:
    return f"{PAYMENT} where {condition} and p.merchant_id = :merchant_id and p.mode = :mode order by p.id desc limit 1"


def update(tx: Tx, payment: Payment) -> None:
    """Save what may change in a payment: its state, gateway and money."""
    tx.defer(
        """
        update payment
           set status = :status, detail = :detail, gateway = :gateway, gateway_ref = :gateway_ref,
               fee_units = :fee_units, late = :late, by_hand = :by_hand, charge_units = :charge_units,
               charge_currency = :charge_currency, charge_rate = :charge_rate, charge_rate_at = :charge_rate_at,
               expires_at = :expires_at, updated_at = :updated_at, completed_at = :completed_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment.id,
        **payment.owner.columns,
        status=payment.status.value,
        detail=payment.detail.value,
        gateway=payment.gateway,
        gateway_ref=payment.gateway_ref,
        fee_units=payment.fee.units,
        late=int(payment.late),
        by_hand=int(payment.by_hand),
        **charge_columns(payment.charge),
        expires_at=payment.expires_at,
        updated_at=payment.updated_at,
        completed_at=payment.completed_at,
    )


def amend(tx: Tx, payment: Payment, changes: Changes, *, now: Instant) -> None:
    """Save what a merchant changed in a payment."""
    tx.run(
        """
        update payment
           set description = coalesce(:description, description), metadata = coalesce(:metadata, metadata),
               redirect_url = coalesce(:redirect_url, redirect_url), cancel_url = coalesce(:cancel_url, cancel_url),
               callback_url = coalesce(:callback_url, callback_url), updated_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment.id,
        **payment.owner.columns,
        now=now,
        **asdict(changes),
    )


def lose(tx: Tx, payment_id: int, amount: Money, *, owner: Owner) -> None:
    """Count what a locked payment lost to a dispute. It is not the merchant's to refund any more."""
    tx.run(
        """
        update payment
           set lost_units = case when lost_units + :units > units then units else lost_units + :units end
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment_id,
        **owner.columns,
        units=amount.units,
    )


def set_dispute_status(tx: Tx, payment_id: int, *, owner: Owner, now: Instant) -> None:
    """Show the newest dispute on its payment."""
    tx.run(
        """
        update payment
           set updated_at = :now, dispute_status = (
               select d.status from dispute d where d.payment_id = payment.id order by d.id desc limit 1)
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment_id,
        **owner.columns,
        now=now,
    )


def set_expiry(tx: Tx, payment: Payment, expires_at: Instant) -> None:
    """Let a payment live as long as its bank's charge does."""
    tx.defer(
        """
        update payment set expires_at = :expires_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payment.id,
        **payment.owner.columns,
        expires_at=expires_at,
    )


class Overdue(NamedTuple):
    """A payment whose time has passed, and its place in the order of their times."""

    place: tuple[Instant, int]
    owner: Owner


def expired(
    tx: ReadTx, *, now: Instant, patience_ended: Instant, limit: int, after: tuple[Instant, int] = (Instant(0), 0)
) -> Sequence[Overdue]:
    """Return the open payments of all merchants that can end because their time has passed, longest overdue first:
    those *after* a place.

    Left out are those that wait for the outcome of a try, if their time passed after *patience_ended*, and those
    that end with their PIX charge.
    """
    rows = tx.all(
        """
        select p.id, p.expires_at, p.merchant_id, p.mode from payment p
         where p.status in ('pending', 'processing') and p.expires_at <= :now
           and p.expires_at >= :after and (p.expires_at > :after or p.id > :after_id)
           and p.detail not in ('awaiting_verification', 'pending_review')
           and (p.expires_at <= :patience_ended or not exists (
               select 1 from gateway_session s where s.payment_id = p.id and s.state = 'unknown'))
           and not exists (
               select 1 from pix_charge c where c.payment_id = p.id
                  and (c.state in ('active', 'paying') or (c.state = 'creating' and c.announces = 1)))
         order by p.expires_at, p.id limit :limit
        """,
        now=now,
        patience_ended=patience_ended,
        after=after[0],
        after_id=after[1],
        limit=limit,
    )
    return [Overdue((row["expires_at"], row["id"]), Owner(row["merchant_id"], Mode(row["mode"]))) for row in rows]


def as_payment(row: Row, keyring: Keyring) -> Payment:
    """Read a row of PAYMENT; an erased customer reads as nobody."""
    in_currency = currency(row["currency"])
    return Payment(
        id=row["id"],
        uuid=row["uuid"],
        reference=row["reference"],
        token=row["token"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        merchant_uuid=row["merchant_uuid"],
        status=PaymentStatus(row["status"]),
        detail=Detail(row["detail"]),
        amount=Money(row["units"], in_currency),
        fee=Money(row["fee_units"], in_currency),
        refunded=Money(row["refunded_units"], in_currency),
        refunding=Money(row["refunding_units"], in_currency),
        lost=Money(row["lost_units"], in_currency),
        order_id=row["order_id"],
        description=row["description"],
        redirect_url=row["redirect_url"],
        cancel_url=row["cancel_url"],
        callback_url=row["callback_url"],
        callback_bare=bool(row["callback_bare"]),
        gateway=row["gateway"],
        gateway_fixed=bool(row["gateway_fixed"]),
        gateway_ref=row["gateway_ref"],
        contact=customers.opened(row["sealed"], row["customer_uuid"], keyring),
        metadata=row["metadata"],
        late=bool(row["late"]),
        dispute_status=row["dispute_status"],
        charge=conversion(row),
        by_hand=bool(row["by_hand"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
        completed_at=row["completed_at"],
        link=_link(row) if row["link_id"] is not None else None,
        invoice=_invoice(row, in_currency) if row["invoice_id"] is not None else None,
        customer_id=row["customer_id"],
    )


def _link(row: Row) -> LinkName:
    return LinkName(row["link_id"], row["link_uuid"], row["link_slug"], row["link_title"])


def _invoice(row: Row, in_currency: Currency) -> InvoiceName:
    return InvoiceName(
        row["invoice_id"],
        row["invoice_uuid"],
        row["invoice_token"],
        row["invoice_number"],
        Money(row["invoice_units"], in_currency),
        InvoiceStatus(row["invoice_status"]),
        row["invoice_due_until_at"],
    )
