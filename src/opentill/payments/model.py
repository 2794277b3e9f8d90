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
    PENDING_REVIEW = "pending_review"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OPEN: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.PROCESSING})


@dataclass(frozen=True, slots=True)
class Contact:
    """Who pays, as far as the merchant told us. Empty text where unknown."""

    name: str = ""
    email: str = ""
    phone: str = ""

    @property
    def known(self) -> bool:
        return bool(self.name or self.email or self.phone)


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
    refunded: Money
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
    created_at: Instant
    updated_at: Instant
    expires_at: Instant
    completed_at: Instant | None

    @property
    def net(self) -> Money | None:
        """Return what the merchant keeps; None until the payment has completed."""
        return self.amount - self.fee if self.status is PaymentStatus.COMPLETED else None

    @property
    def open(self) -> bool:
        return self.status in OPEN


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
