"""One payment's whole story, for the screen of it: tries, charge, receipts, what waits for a person. Read-only."""

from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Row
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.model import Payment
from opentill.payments.review.queue import CLAIMS

# Money that completed no payment, and has not gone back: it is held, or came once more.
_RETURNABLE: Final = """(r.refunding_units < r.units and (
                 r.state = 'held' or (r.state = 'booked' and r.origin = 'repeat')))"""


def sessions(tx: ReadTx, payment: Payment) -> Sequence[Row]:
    """Return every try with a gateway, oldest first."""
    return tx.all(
        """
        select reference, gateway, state, provider_ref, reason, next_check_at, checks, opened_at, closed_at
          from gateway_session
         where payment_id = :id and merchant_id = :merchant_id and mode = :mode order by id limit 100
        """,
        **_place(payment),
    )


def receipts(tx: ReadTx, payment: Payment) -> Sequence[Row]:
    """Return the money that arrived for a payment, oldest first."""
    return tx.all(
        f"""
        select r.id, r.gateway, r.account, r.ref, r.units, r.currency, r.fee_units, r.origin, r.state, r.late,
               r.payer_name, r.payer_bank_name, r.received_at, r.created_at,
               {_RETURNABLE} and not exists (
                 select 1 from review_item i
                  where i.payment_id = r.payment_id and i.receipt_id = r.id and i.resolved_at is null
                    and i.kind <> 'refund') as returnable
          from receipt r
         where r.payment_id = :id and r.merchant_id = :merchant_id and r.mode = :mode order by r.id limit 200
        """,
        **_place(payment),
    )


def charge(tx: ReadTx, payment: Payment) -> Row | None:
    """Return the newest PIX charge of a payment."""
    return tx.one_or_none(
        """
        select id, state, units, key, external_id, code, expires_at, next_check_at, created_at, updated_at
          from pix_charge where payment_id = :id and merchant_id = :merchant_id and mode = :mode
         order by created_at desc, id desc limit 1
        """,
        **_place(payment),
    )


def receipts_by_ref(tx: ReadTx, ref: str, *, owner: Owner) -> Sequence[Row]:
    """Return the PIX receipts of an end-to-end id, through the index of each account."""
    return tx.all(
        """
        select r.id, r.ref, r.units, r.currency, p.uuid
          from receipt r left join payment p on p.id = r.payment_id
         where r.merchant_id = :merchant_id and r.mode = :mode and r.gateway = 'pix' and r.ref = :ref
           and r.account in (select cast(id as text) from pix_account where merchant_id = :merchant_id and mode = :mode)
        """,
        ref=ref,
        **owner.columns,
    )


def reviews(tx: ReadTx, *, owner: Owner, limit: int, after: int = 0, resolved: bool = False) -> Sequence[Row]:
    """Return what waits for a person, longest first, after an item; or what was decided, newest first.

    What `claims` money that is counted otherwise can be rejected, and never approved: money counts once.
    """
    condition, order = ("is not null", "desc") if resolved else ("is null", "asc")
    return tx.all(
        f"""
        select i.id, i.kind, i.subject_type, i.subject_id, i.reason, i.claimed_by, i.resolution, i.created_at,
               i.resolved_at, i.payment_id, i.question, i.asked_at, p.reference, p.currency, r.units,
               r.currency as seen_currency, i.receipt_id,
               coalesce(p.detail, '') = 'pending_review' and i.reason in (:elsewhere, :for_none) as claims,
               {_RETURNABLE} as returnable
          from review_item i left join payment p on p.id = i.payment_id left join receipt r on r.id = i.receipt_id
         where i.merchant_id = :merchant_id and i.mode = :mode and i.resolved_at {condition} and i.id > :after
         order by i.id {order} limit :limit
        """,
        **CLAIMS,
        **owner.columns,
        after=after,
        limit=limit,
    )


def reviews_open(tx: ReadTx, *, owner: Owner) -> int:
    """Return how much waits for a person."""
    row = tx.one_or_none(
        """
        select count(*) as n from review_item
         where merchant_id = :merchant_id and mode = :mode and resolved_at is null
        """,
        **owner.columns,
    )
    found: int = row["n"] if row else 0
    return found


def _place(payment: Payment) -> dict[str, int]:
    return {"id": payment.id, **payment.owner.columns}


def payments_of_customer(tx: ReadTx, email: str, *, owner: Owner, keyring: Keyring, limit: int) -> Sequence[str]:
    """Return the UUIDs of the newest payments of an e-mail address."""
    if "@" not in email:
        return []
    customer = tx.one_or_none(
        "select id from customer where merchant_id = :merchant_id and mode = :mode and email_hash = :hash",
        hash=keyring.keyed_hash(email.lower(), "customer.email"),
        **owner.columns,
    )
    if customer is None:  # looked for first: without anybody to look for, every payment would be read
        return []
    rows = tx.all(
        """
        select p.uuid from payment p
         where p.merchant_id = :merchant_id and p.mode = :mode and p.customer_id = :customer
         order by p.id desc limit :limit
        """,
        customer=customer["id"],
        limit=limit,
        **owner.columns,
    )
    return [row["uuid"] for row in rows]


def payments_of_charge(tx: ReadTx, ref: str, *, owner: Owner) -> Sequence[str]:
    """Return the UUIDs of the payments of a charge's id or its merchant's name for it."""
    rows = tx.all(
        """
        select p.uuid from payment p join pix_charge c on c.payment_id = p.id
         where c.merchant_id = :merchant_id and c.mode = :mode and (c.id = :ref or c.external_id = :ref) limit 20
        """,
        ref=ref,
        **owner.columns,
    )
    return [row["uuid"] for row in rows]
