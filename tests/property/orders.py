"""Payments as values, for properties that need no database."""

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.payments.model import Contact, Conversion, Detail, Payment, PaymentStatus


def completed_payment(amount: Money, fee: Money, charge: Conversion | None, owner: Owner) -> Payment:
    nothing, then = Money(0, amount.currency), Instant(0)
    return Payment(
        id=1,
        uuid="u",
        reference="txn_0",
        token="t",
        owner=owner,
        merchant_uuid="m",
        status=PaymentStatus.COMPLETED,
        detail=Detail.COMPLETED,
        amount=amount,
        fee=fee,
        refunded=nothing,
        refunding=nothing,
        lost=nothing,
        order_id=None,
        description=None,
        redirect_url=None,
        cancel_url=None,
        callback_url=None,
        callback_bare=False,
        gateway="sandbox",
        gateway_fixed=False,
        gateway_ref="r",
        contact=Contact(),
        metadata="{}",
        late=False,
        dispute_status=None,
        charge=charge,
        created_at=then,
        updated_at=then,
        expires_at=then,
        completed_at=then,
    )
