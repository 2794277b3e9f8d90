"""Decisions about refunds: values in, values out (merchant-api.md §6.2–§6.4, §9.6, §10.3)."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from opentill.gateways.port import RefundAnswer, RefundState, RefundTerms
from opentill.kernel.clock import DAY, MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Refused
from opentill.kernel.money import UNITS_PER_MINOR, Money
from opentill.ledger import AVAILABLE, FEES, HELD, Entry, Journal
from opentill.payments.model import BookedReceipt, Hold, Payment, PaymentStatus, Refund, RefundStatus, RefundStep
from opentill.payments.rules import account_of

CALL_OVER: Final = 15 * SECOND  # by then the gateway's call has ended, or its process died
CHECK_OVER: Final = 25 * SECOND  # the same of a question and the call that may follow it
WAITS: Final = (5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE)
ALARM: Final = DAY  # a refund nobody knows of for so long is shown to a person

_ = str  # marks a text for the catalogues


class Objection(StrEnum):
    """Why money cannot go back. Each API has its own words for it."""

    NOT_COMPLETED = "not_completed"
    IMPOSSIBLE = "impossible"
    WINDOW = "window"
    NOTHING_LEFT = "nothing_left"
    NOT_POSITIVE = "not_positive"
    TOO_MUCH = "too_much"
    NOT_PARTLY = "not_partly"
    BALANCE = "balance"


SAID: Final = {
    Objection.IMPOSSIBLE: _("The gateway %(gateway)s cannot give money back."),
    Objection.WINDOW: _("The time in which it could be refunded is over."),
    Objection.NOTHING_LEFT: _("Nothing is left to refund: %(rest)s."),
    Objection.NOT_POSITIVE: _("The amount must be greater than zero; %(rest)s is left to refund."),
    Objection.TOO_MUCH: _("Only %(rest)s is left to refund."),
    Objection.NOT_PARTLY: _("%(gateway)s gives back all or nothing."),
}


class RefundRefused(Refused):
    """The refund was refused before anything was written; *left* is what may still go back."""

    def __init__(self, objection: Objection, text: str, left: Money, **named: object) -> None:
        super().__init__("INVALID_REFUND_PARAMETERS", text, **named)
        self.objection = objection
        self.left = left


@dataclass(frozen=True, slots=True)
class Shares:
    """What a refund comes to: in the payment's currency, at the gateway, and of the install's fee."""

    amount: Money
    charge: Money
    fee: Money


@dataclass(frozen=True, slots=True)
class Target:
    """Money that can go back: a receipt, with the payment it completed, if it completed one."""

    receipt: BookedReceipt
    payment: Payment | None

    @property
    def amount(self) -> Money:
        return self.payment.amount if self.payment else self.receipt.amount

    @property
    def refunding(self) -> Money:
        return self.payment.refunding if self.payment else self.receipt.refunding

    @property
    def left(self) -> Money:
        return self.payment.refundable if self.payment else self.receipt.rest


def agree(target: Target, wanted: int | None, *, terms: RefundTerms, now: Instant) -> Money:
    """Return the amount to give back, all that is left where none is named. Raises RefundRefused."""
    left, gateway = target.left, target.receipt.gateway
    amount = left if wanted is None else Money(wanted, left.currency)
    over_at = after(target.receipt.received_at, terms.window) if terms.window is not None else None
    objections = (
        (not terms.possible, Objection.IMPOSSIBLE),
        (over_at is not None and now >= over_at, Objection.WINDOW),
        (not left.units, Objection.NOTHING_LEFT),
        (amount.units <= 0, Objection.NOT_POSITIVE),
        (amount > left, Objection.TOO_MUCH),
        (not terms.partly and amount < target.amount, Objection.NOT_PARTLY),
    )
    for holds, objection in objections:
        if holds:
            raise RefundRefused(objection, SAID[objection], left, gateway=gateway, rest=left)
    return amount


def asked(target: Target, charge: Money) -> Money:
    """Return what giving back *charge*, in the money that came, comes to in the payment's currency.

    All that the gateway holds is all that is left of the payment, and more than it holds is more than is left.
    """
    received, left, cent = target.receipt.amount, target.left, Money(UNITS_PER_MINOR, target.left.currency)
    if received == target.amount or charge.units <= 0:
        return Money(charge.units, left.currency)
    if charge >= target.receipt.rest:
        return left if charge == target.receipt.rest else left + cent
    return min(max(target.amount.part(charge.units, received.units), cent), left)


def require_completed(payment: Payment) -> None:
    """Raise RefundRefused for a payment whose money is not the merchant's."""
    if payment.status is not PaymentStatus.COMPLETED:
        raise RefundRefused(
            Objection.NOT_COMPLETED,
            "The payment is %(status)s; only a completed one is refunded.",
            Money(0, payment.amount.currency),
            status=payment.status,
        )


def shares(target: Target, amount: Money, *, fee_given: Money, fee_back: bool, charge: Money | None = None) -> Shares:
    """Return what giving back *amount* comes to; the refund that reaches the full amount takes what remains.

    *fee_given* is what earlier refunds, those under way included, give back of the fee; *charge* is what the gateway
    gives back, where that was named.
    """
    receipt = target.receipt
    last = target.refunding + amount == target.amount
    if charge is None:
        charge = receipt.rest if last else min(_converted(target, amount), receipt.rest)
    if not fee_back:
        return Shares(amount, charge, Money(0, receipt.amount.currency))
    fee_left = receipt.fee - fee_given
    fee = fee_left if last else min(receipt.fee.part(amount.units, target.amount.units), fee_left)
    return Shares(amount, charge, fee)


def _converted(target: Target, amount: Money) -> Money:
    """Return what the gateway is to give back for a part of what was asked."""
    received, conversion = target.receipt.amount, target.payment.charge if target.payment else None
    if received == target.amount:
        return amount
    if conversion is not None and received == conversion.amount:
        return amount.at(conversion.rate, received.currency)
    return received.part(amount.units, target.amount.units)  # another amount was accepted as all of it


def first_step(terms: RefundTerms) -> RefundStep:
    return RefundStep.BY_HAND if terms.by_hand else RefundStep.CALLING


def answered(refund: Refund, answer: RefundAnswer, *, now: Instant) -> Refund:
    """Return an open refund after its gateway said something of it."""
    match answer.state:
        case RefundState.COMPLETED:
            return _over(refund, RefundStatus.COMPLETED, answer, now=now)
        case RefundState.FAILED:
            return _over(refund, RefundStatus.FAILED, answer, now=now)
        case RefundState.PENDING:
            return replace(refund, step=RefundStep.PROCESSING, gateway_ref=answer.ref or refund.gateway_ref)
        case RefundState.ABSENT | RefundState.UNKNOWN:
            return replace(refund, step=RefundStep.UNKNOWN)


def next_check(refund: Refund, *, now: Instant) -> Instant:
    """Return when a gateway that has not decided is asked again. It is asked until it has."""
    return after(now, WAITS[min(refund.checks, len(WAITS) - 1)])


def held_journal(refund: Refund) -> Journal:
    """Put a refund's money aside."""
    return _journal(refund, "refund.held", AVAILABLE.debit(refund.charge), HELD.credit(refund.charge))


def released_journal(refund: Refund) -> Journal:
    """Give money that was put aside back to the merchant."""
    return _journal(refund, "refund.released", HELD.debit(refund.charge), AVAILABLE.credit(refund.charge))


def completed_journal(refund: Refund, receipt: BookedReceipt) -> Journal:
    """Reverse what the payment posted: the gateway's clearing gets the gross, the install gives its share."""
    source = AVAILABLE if refund.hold is Hold.NONE else HELD
    return _journal(
        refund,
        "refund.completed",
        source.debit(refund.charge),
        account_of(receipt).credit(refund.charge),
        FEES.debit(refund.fee),
        AVAILABLE.credit(refund.fee),
    )


def _over(refund: Refund, status: RefundStatus, answer: RefundAnswer, *, now: Instant) -> Refund:
    return replace(
        refund,
        status=status,
        step=RefundStep.OVER,
        gateway_ref=answer.ref or refund.gateway_ref,
        failure_code=answer.code,
        failure_message=answer.message,
        processed_at=now,
    )


def _journal(refund: Refund, kind: str, *entries: Entry) -> Journal:
    return Journal(refund.owner, kind, "refund", refund.uuid, entries)
