"""What a merchant asks to be paid: a payment is made, and changed while it waits."""

from typing import Any

from opentill.db import Tx
from opentill.events import record
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants.model import Merchant
from opentill.payments import conversion, rules, store
from opentill.payments.customers import service as customers
from opentill.payments.documents import payment_event
from opentill.payments.model import Changes, Detail, Order, Payment, PaymentStatus
from opentill.payments.service.locking import locked
from opentill.payments.service.tries import require_gateway


def create(
    tx: Tx, order: Order, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant, uuid: str | None = None
) -> Payment:
    """Store a payment with its transaction and record `payment.pending`.

    A fixed gateway must be one the merchant has switched on; raises NotFound otherwise.
    """
    payment = draft(order, merchant, ids=ids, now=now, uuid=uuid)
    place(tx, payment, ids=ids, keyring=keyring)
    return payment


def draft(order: Order, merchant: Merchant, *, ids: Ids, now: Instant, uuid: str | None = None) -> Payment:
    """Return the payment of an order, named but not yet stored: what it is to be answered with is known already."""
    nothing = Money(0, order.amount.currency)
    return Payment(
        id=0,
        uuid=uuid or ids.uuid7(),
        reference="txn_" + ids.hex(16),
        token=ids.timed_hex(64),
        owner=merchant.owner,
        merchant_uuid=merchant.uuid,
        status=PaymentStatus.PENDING,
        detail=Detail.PENDING,
        amount=order.amount,
        fee=nothing,
        refunded=nothing,
        refunding=nothing,
        lost=nothing,
        order_id=order.order_id,
        description=order.description,
        redirect_url=order.redirect_url,
        cancel_url=order.cancel_url,
        callback_url=order.callback_url,
        callback_bare=order.callback_bare,
        gateway=order.gateway,
        gateway_fixed=order.gateway_fixed,
        gateway_ref=None,
        contact=order.contact,
        metadata=order.metadata,
        late=False,
        dispute_status=None,
        charge=None,
        created_at=now,
        updated_at=now,
        expires_at=after(now, (order.expires_in_s or merchant.expiry_s) * SECOND),
        completed_at=None,
        link=order.link,
        invoice=order.invoice,
        customer_id=order.customer_id,
    )


def place(tx: Tx, payment: Payment, *, ids: Ids, keyring: Keyring) -> None:
    """Store a drafted payment and record `payment.pending`.

    A fixed gateway must be one the merchant has switched on, and take the currency; raises NotFound, and Invalid.
    """
    if payment.gateway and payment.gateway_fixed:
        way = require_gateway(tx, payment.gateway, owner=payment.owner)
        try:
            conversion.fix(tx, payment.amount, way, owner=payment.owner, now=payment.created_at)
        except Conflict as conflict:
            raise Invalid([Fault("gateway", "VALIDATION_FAILED", conflict.message)]) from conflict
    store.insert(tx, **_row(tx, payment, ids=ids, keyring=keyring))
    record(tx, payment_event("payment.pending", payment, at=payment.created_at), ids=ids)
    reach("payment.created")


def store_new(
    tx: Tx, order: Order, *, merchant: Merchant, ids: Ids, keyring: Keyring, now: Instant, uuid: str | None = None
) -> Payment:
    """Store a payment without an event, for callers that record a fuller one in the same transaction.

    Return its draft: which id it has is not known yet.
    """
    payment = draft(order, merchant, ids=ids, now=now, uuid=uuid)
    store.insert(tx, **_row(tx, payment, ids=ids, keyring=keyring))
    return payment


def amend(tx: Tx, payment_id: int, changes: Changes, *, owner: Owner, keyring: Keyring, now: Instant) -> Payment:
    """Change what a merchant may still change in a pending payment. Raises Conflict for any other."""
    payment = locked(tx, payment_id, owner=owner, keyring=keyring)
    shown = rules.shown_status(payment, now)
    if shown is not PaymentStatus.PENDING:
        raise Conflict("INVALID_STATE", f"The payment is {shown} and cannot be changed any more.")
    store.amend(tx, payment, changes, now=now)
    return locked(tx, payment_id, owner=owner, keyring=keyring)


def _row(tx: Tx, payment: Payment, *, ids: Ids, keyring: Keyring) -> dict[str, Any]:
    """Return what is stored of a payment. Whoever pays, as far as that is known, is stored on the way."""
    owner, now = payment.owner, payment.created_at
    customer_id = payment.customer_id or customers.remember(
        tx,
        payment.contact,
        owner=owner,
        merchant_uuid=payment.merchant_uuid,
        ids=ids,
        keyring=keyring,
        now=now,
        updates=payment.link is None,  # at a link's page anybody may type anybody's address
    )
    return {
        "uuid": payment.uuid,
        "reference": payment.reference,
        "token": payment.token,
        **owner.columns,
        "units": payment.amount.units,
        "currency": payment.amount.currency.code,
        "order_id": payment.order_id,
        "description": payment.description,
        "redirect_url": payment.redirect_url,
        "cancel_url": payment.cancel_url,
        "callback_url": payment.callback_url,
        "callback_bare": int(payment.callback_bare),
        "gateway": payment.gateway,
        "gateway_fixed": int(payment.gateway_fixed),
        "customer_id": customer_id,
        "link_id": payment.link.id if payment.link else None,
        "invoice_id": payment.invoice.id if payment.invoice else None,
        "metadata": payment.metadata,
        "now": now,
        "expires_at": payment.expires_at,
    }
