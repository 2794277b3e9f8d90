"""Payments: what a merchant wants to collect, on any rail (merchant-api.md §0.1, §9.4)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner

SESSIONS_MAX: Final = 10  # tries with a gateway per payment


class PaymentStatus(StrEnum):
    """The six words merchants see."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Detail(StrEnum):
    """The transaction's finer words (merchant-api.md §10.2)."""

    PENDING = "pending"
    PROCESSING = "processing"
    AWAITING_VERIFICATION = "awaiting_verification"
    PENDING_REVIEW = "pending_review"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


OPEN: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.PROCESSING})
UNDER_REVIEW: Final = frozenset({Detail.AWAITING_VERIFICATION, Detail.PENDING_REVIEW})


@dataclass(frozen=True, slots=True)
class Contact:
    """Who pays, as far as the merchant told us. Empty text where unknown."""

    name: str = ""
    email: str = ""
    phone: str = ""

    @property
    def fields(self) -> dict[str, str]:
        return {"name": self.name, "email": self.email, "phone": self.phone}

    @property
    def known(self) -> bool:
        return bool(self.name or self.email or self.phone)


@dataclass(frozen=True, slots=True)
class LinkName:
    """The payment link a payment came from, as its objects and events name it."""

    id: int
    uuid: str
    slug: str
    title: str


class InvoiceStatus(StrEnum):
    """Where an invoice stands (merchant-api.md §10.5). Overdue is never stored: the clock says it."""

    DRAFT = "draft"
    SENT = "sent"
    OVERDUE = "overdue"
    PAID = "paid"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class InvoiceName:
    """The invoice a payment is for, as its objects and events name it."""

    id: int
    uuid: str
    token: str
    number: str
    total: Money
    stored_status: InvoiceStatus
    due_until_at: Instant | None

    def status(self, now: Instant) -> InvoiceStatus:
        """Return the status to show: one that was sent is overdue once its day has ended."""
        overdue = self.due_until_at is not None and now >= self.due_until_at
        return InvoiceStatus.OVERDUE if self.stored_status is InvoiceStatus.SENT and overdue else self.stored_status


@dataclass(frozen=True, slots=True)
class Order:
    """What a merchant asks to be paid, checked and ready to store."""

    amount: Money
    order_id: str | None = None
    description: str | None = None
    contact: Contact = Contact()
    redirect_url: str | None = None
    cancel_url: str | None = None
    callback_url: str | None = None
    callback_bare: bool = False
    gateway: str | None = None
    gateway_fixed: bool = False
    metadata: str = "{}"  # JSON text, kept as the merchant sent it
    expires_in_s: int | None = None
    link: LinkName | None = None
    invoice: InvoiceName | None = None
    customer_id: int | None = None  # who pays, where the merchant named a customer


@dataclass(frozen=True, slots=True)
class Changes:
    """What a merchant may still change in a pending payment; None leaves it as it is."""

    description: str | None = None
    metadata: str | None = None
    redirect_url: str | None = None
    cancel_url: str | None = None
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a gateway charges that does not take the payment's currency; the rate is fixed with the session."""

    amount: Money
    rate: str  # units of the charge's currency for one of the payment's, as a decimal
    rate_at: Instant


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment and its transaction, which are born together and share one row."""

    id: int
    uuid: str
    reference: str
    token: str
    owner: Owner
    merchant_uuid: str
    status: PaymentStatus
    detail: Detail
    amount: Money
    fee: Money
    refunded: Money  # what went back
    refunding: Money  # and what is going back
    lost: Money  # to disputes
    order_id: str | None
    description: str | None
    redirect_url: str | None
    cancel_url: str | None
    callback_url: str | None
    callback_bare: bool
    gateway: str | None
    gateway_fixed: bool
    gateway_ref: str | None
    contact: Contact
    metadata: str
    late: bool
    dispute_status: str | None  # of the newest dispute
    charge: Conversion | None
    created_at: Instant
    updated_at: Instant
    expires_at: Instant
    completed_at: Instant | None
    link: LinkName | None = None
    invoice: InvoiceName | None = None
    customer_id: int | None = None
    by_hand: bool = False  # through a manual gateway: a person sees whether the money came

    @property
    def method(self) -> str:
        """Return how the payment came about (merchant-api.md §9.4)."""
        if self.link or self.invoice:
            return "link" if self.link else "invoice"
        return "manual" if self.by_hand else "api"

    @property
    def gateway_type(self) -> str | None:
        """Return what kind of gateway it is paid through, once one is chosen."""
        return "manual" if self.by_hand else "api" if self.gateway else None

    @property
    def net(self) -> Money | None:
        """Return what the merchant keeps; None until the payment has completed."""
        return self.amount - self.fee if self.status is PaymentStatus.COMPLETED else None

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def under_review(self) -> bool:
        """Tell whether a person is to decide; until then nothing else ends the payment."""
        return self.detail in UNDER_REVIEW

    @property
    def charged(self) -> Money:
        """Return what the gateway is to bring: the amount, or what it was converted to."""
        return self.charge.amount if self.charge else self.amount

    @property
    def refundable(self) -> Money:
        """Return what may still go back."""
        left = self.amount - self.refunding - self.lost
        return left if left.units > 0 else Money(0, self.amount.currency)

    @property
    def disputed(self) -> bool:
        return self.dispute_status in ("open", "under_review", "lost")


class SessionState(StrEnum):
    """Where one try with one gateway stands."""

    OPEN = "open"
    UNKNOWN = "unknown"
    PAID = "paid"
    DECLINED = "declined"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Session:
    """One try by the payer with one gateway; a payment has many, at most one is open."""

    id: int
    reference: str
    payment_id: int
    owner: Owner
    gateway: str
    state: SessionState
    provider_ref: str | None
    detail: str  # JSON the gateway asked us to remember
    reason: str | None
    checks: int  # how often the gateway was asked since the payer submitted
    opened_at: Instant
    charge: Conversion | None

    @property
    def submitted(self) -> bool:
        """Tell whether the payer has sent their form."""
        return self.detail != "{}"

    @property
    def under_way(self) -> bool:
        """Tell whether the gateway's first call may still be under way: its answer has not come back to us."""
        return self.state is SessionState.UNKNOWN and self.checks == 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that arrived, as a provider reported it. It cannot be refused, only booked or parked."""

    owner: Owner
    gateway: str
    account: str  # the provider account it arrived on; empty where a gateway has one only
    ref: str  # the provider's name for it
    amount: Money
    received_at: Instant
    payer_name: str | None = None
    payer_document: str | None = None
    payer_ispb: str | None = None
    payer_bank_name: str | None = None
    charge_id: str | None = None  # the charge it was paid for


@dataclass(frozen=True, slots=True)
class BookedReceipt:
    """Money that was written down, under the number it got."""

    id: int
    owner: Owner
    payment_id: int | None
    gateway: str
    account: str
    ref: str
    amount: Money
    fee: Money
    refunding: Money  # what went back and is going back of it
    origin: str  # charge: it completed a payment, or was to; repeat or direct: it came besides
    state: str  # booked, held or suspense
    received_at: Instant

    @property
    def rest(self) -> Money:
        return self.amount - self.refunding


class RefundStatus(StrEnum):
    """The three words merchants see."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class RefundStep(StrEnum):
    """Where a refund stands, as far as we know."""

    CALLING = "calling"  # written down; the gateway's first call may be under way
    UNKNOWN = "unknown"  # it ended without an answer
    PROCESSING = "processing"  # the gateway has it
    BY_HAND = "by_hand"  # an operator sends it
    OVER = "over"


class Hold(StrEnum):
    """Where a refund's money waits."""

    NONE = "none"  # nowhere: it is taken from `available` when it has gone back
    HELD = "held"  # taken from `available` when it was asked for
    PARKED = "parked"  # it never was the merchant's: it is what a receipt holds


@dataclass(frozen=True, slots=True)
class Refund:
    """What a merchant or operator asked to give back."""

    id: int
    uuid: str
    public_id: str | None
    owner: Owner
    payment_id: int | None
    receipt_id: int
    gateway: str
    origin: str
    status: RefundStatus
    step: RefundStep
    amount: Money  # in the payment's currency
    charge: Money  # in the gateway's
    fee: Money  # what the install gives back of it, in the gateway's
    hold: Hold
    reason: str
    detail: str
    gateway_ref: str | None
    failure_code: str | None
    failure_message: str | None
    checks: int
    created_at: Instant
    processed_at: Instant | None

    @property
    def open(self) -> bool:
        return self.status is RefundStatus.PENDING
