"""Decisions about payments: values in, values out. The tables of merchant-api.md §10.1 and §10.2."""

from dataclasses import dataclass, replace
from typing import assert_never

from opentill.kernel.clock import HOUR, Instant, after
from opentill.kernel.errors import Conflict
from opentill.kernel.money import Currency, Money
from opentill.ledger import AVAILABLE, FEES, HELD, SUSPENSE, Account, Journal, clearing
from opentill.operators.reasons import Reason
from opentill.payments.model import (
    BookedReceipt,
    Conversion,
    Detail,
    Payment,
    PaymentStatus,
    Receipt,
    Session,
    SessionState,
)
from opentill.pix.model import BRL
from opentill.pix.model import GATEWAY as PIX

MANUAL = "manual"  # what merchants call all of their manual gateways
PATIENCE = HOUR  # a payment whose try has no outcome outlives its time by this (merchant-api.md §11.5)


@dataclass(frozen=True, slots=True)
class Paid:
    """The money completes the payment."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class Repeated:
    """The payment was complete already: this is more money for the merchant."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The money waits for a person."""

    payment: Payment
    reason: Reason


def receive(
    payment: Payment,
    receipt: Receipt,
    *,
    fee: Money,
    charge: Conversion | None = None,
    reviews_late: bool = False,
    now: Instant,
) -> Paid | Repeated | Parked:
    """Decide what money that has already arrived means. It cannot be refused.

    *charge* is what the gateway was to bring where that is not the payment's own amount; *reviews_late* leaves money
    that comes after the end to a person.
    """
    match payment.status:
        case PaymentStatus.COMPLETED:
            return Repeated()
        case _ if receipt.amount != (charge.amount if charge else payment.amount):
            return Parked(parked(payment, now=now), Reason.AMOUNT_DIFFERS)
        case PaymentStatus.PENDING | PaymentStatus.PROCESSING:
            return Paid(completed(payment, receipt, fee=fee, charge=charge, now=now))
        case PaymentStatus.EXPIRED | PaymentStatus.CANCELLED | PaymentStatus.FAILED if reviews_late:
            return Parked(payment, Reason.LATE)
        # Late money is still money, so an ended payment accepts it.
        case PaymentStatus.EXPIRED | PaymentStatus.CANCELLED | PaymentStatus.FAILED:
            return Paid(completed(payment, receipt, fee=fee, charge=charge, now=now))
        case _:
            assert_never(payment.status)


def end(payment: Payment, status: PaymentStatus, *, decided: bool = False, now: Instant) -> Payment:
    """Return the payment ended without money. Raises Conflict where it may not end so.

    *decided*: by an operator, who may end also what is under review.
    """
    if not payment.open or (payment.under_review and not decided):
        raise Conflict(
            "INVALID_STATE",
            "The payment is %(status)s and cannot become %(wanted)s.",
            status=payment.status,
            wanted=status,
        )
    return replace(payment, status=status, detail=Detail(status.value), updated_at=now)


def awaited(payment: Payment, session: Session | None, *, now: Instant) -> bool:
    """Tell whether a try's outcome is waited for. Until it is known nothing ends the payment, but time does at last."""
    return session is not None and session.state is SessionState.UNKNOWN and now < after(payment.expires_at, PATIENCE)


def parked(payment: Payment, *, now: Instant) -> Payment:
    """Return the payment waiting for a person; one that is over stays as it is."""
    if not payment.open:
        return payment
    return replace(payment, status=PaymentStatus.PROCESSING, detail=Detail.PENDING_REVIEW, updated_at=now)


def start(
    payment: Payment, gateway: str, *, charge: Conversion | None = None, manual: bool = False, now: Instant
) -> Payment:
    """Return the payment being paid through a gateway. Raises Conflict where it may not start."""
    if not payment.open or payment.under_review or now >= payment.expires_at:
        raise Conflict(
            "INVALID_STATE", "The payment is %(status)s and cannot be paid now.", status=shown_status(payment, now)
        )
    wanted = (gateway, MANUAL) if manual else (gateway,)
    if payment.gateway_fixed and payment.gateway not in wanted:
        raise Conflict("INVALID_STATE", "This payment is to be paid with %(gateway)s.", gateway=payment.gateway)
    return replace(
        payment,
        status=PaymentStatus.PROCESSING,
        detail=Detail.PROCESSING,
        gateway=payment.gateway if payment.gateway_fixed else gateway,
        charge=charge,
        by_hand=manual,
        updated_at=now,
    )


def takes(gateway: str, currency: Currency) -> bool:
    """Tell whether a gateway takes payments in a currency. PIX moves reais and nothing else."""
    return gateway != PIX or currency == BRL


def reopen(payment: Payment, *, now: Instant) -> Payment:
    """Return the payment waiting for another try, after a decline or an abandoned session."""
    if payment.status is not PaymentStatus.PROCESSING or payment.under_review:
        return payment
    return waiting_again(payment, now=now)


def waiting_again(payment: Payment, *, now: Instant) -> Payment:
    """Return the payment pending as it was before it was tried."""
    gateway = payment.gateway if payment.gateway_fixed else None
    return replace(
        payment,
        status=PaymentStatus.PENDING,
        detail=Detail.PENDING,
        gateway=gateway,
        charge=None,
        by_hand=False,
        updated_at=now,
    )


def shown_status(payment: Payment, now: Instant) -> PaymentStatus:
    """Return the status to show: a pending payment past its time is never shown as pending."""
    if payment.status is PaymentStatus.PENDING and now >= payment.expires_at:
        return PaymentStatus.EXPIRED
    return payment.status


def paid_journal(payment: Payment, receipt: Receipt, *, fee: Money) -> Journal:
    """Debit the gateway's clearing the gross, credit the merchant the net and the install its fee."""
    return Journal(
        owner=payment.owner,
        kind="payment.completed",
        source_type="payment",
        source_id=payment.uuid,
        entries=(
            account_of(receipt).debit(receipt.amount),
            AVAILABLE.credit(receipt.amount - fee),
            FEES.credit(fee),
        ),
    )


def accepted_journal(payment: Payment, receipt: BookedReceipt, *, fee: Money) -> Journal:
    """Give the merchant money that was held for a person's decision, which completes the payment."""
    return Journal(
        owner=payment.owner,
        kind="payment.completed",
        source_type="payment",
        source_id=payment.uuid,
        entries=(HELD.debit(receipt.amount), AVAILABLE.credit(receipt.amount - fee), FEES.credit(fee)),
    )


def fee_at_gateway(payment: Payment, received: Money) -> Money:
    """Return a payment's fee as a part of the money that came, which may be of another currency or amount."""
    if received == payment.amount:
        return payment.fee
    return received.part(payment.fee.units, payment.amount.units)


def credited_journal(receipt: Receipt, source_id: str, *, fee: Money) -> Journal:
    """Credit money that completes no payment: a second receipt, or one without a payment."""
    return Journal(
        owner=receipt.owner,
        kind="receipt.credited",
        source_type="receipt",
        source_id=source_id,
        entries=(account_of(receipt).debit(receipt.amount), AVAILABLE.credit(receipt.amount - fee), FEES.credit(fee)),
    )


def parked_journal(receipt: Receipt, source_id: str) -> Journal:
    """Hold money that waits for a person."""
    return Journal(
        owner=receipt.owner,
        kind="receipt.held",
        source_type="receipt",
        source_id=source_id,
        entries=(account_of(receipt).debit(receipt.amount), HELD.credit(receipt.amount)),
    )


def unowned_journal(receipt: Receipt, source_id: str) -> Journal:
    """Keep money apart that nobody here owns (L14)."""
    return Journal(
        owner=receipt.owner,
        kind="receipt.unowned",
        source_type="receipt",
        source_id=source_id,
        entries=(account_of(receipt).debit(receipt.amount), SUSPENSE.credit(receipt.amount)),
    )


def account_of(receipt: Receipt | BookedReceipt) -> Account:
    """Return the clearing account of the gateway, for PIX of the provider account, the money came through."""
    return clearing(f"{receipt.gateway}:{receipt.account}" if receipt.account else receipt.gateway)


def completed(
    payment: Payment,
    receipt: Receipt | BookedReceipt,
    *,
    fee: Money,
    charge: Conversion | None,
    by_hand: bool = False,
    now: Instant,
) -> Payment:
    """Return the payment completed by a receipt; after its end, late."""
    return replace(
        payment,
        status=PaymentStatus.COMPLETED,
        detail=Detail.COMPLETED,
        gateway=receipt.gateway,
        gateway_ref=receipt.ref,
        fee=fee,
        late=not payment.open,
        by_hand=by_hand,
        charge=charge,
        updated_at=now,
        completed_at=now,
    )
