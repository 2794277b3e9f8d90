"""What OpenTill needs from a payment method (merchant-api.md §15).

A business "no" is a verdict. A time-out or any exception means *unknown*: the gateway is asked again, the payer is
never asked to pay again meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret


class VerdictState(StrEnum):
    """What a gateway knows of a session."""

    PAID = "paid"
    PENDING = "pending"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PaidVerdict:
    """The money is there: the provider's name for it and its amount, which the core compares."""

    ref: str
    amount: Money
    state: Literal[VerdictState.PAID] = VerdictState.PAID
    times: int = 1  # how often the provider says it


@dataclass(frozen=True, slots=True)
class UnpaidVerdict:
    """No money, or not yet; the reason is shown to the payer."""

    state: Literal[VerdictState.PENDING, VerdictState.FAILED, VerdictState.CANCELLED, VerdictState.UNKNOWN]
    reason: str | None = None


Verdict = PaidVerdict | UnpaidVerdict


@dataclass(frozen=True, slots=True)
class GatewaySession:
    """One try, as a gateway sees it. The reference is the idempotency key towards the provider."""

    reference: str
    amount: Money
    detail: str  # JSON the payer's submission left
    opened_at: Instant
    expires_at: Instant


class RefundState(StrEnum):
    """What a gateway knows of a refund."""

    COMPLETED = "completed"
    PENDING = "pending"  # the gateway has it and is not done
    FAILED = "failed"
    ABSENT = "absent"  # it certainly never got it
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RefundAnswer:
    """What a gateway says of a refund; code and message say why it failed."""

    state: RefundState
    ref: str | None = None  # the provider's name for it
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """A refund, as a gateway sees it. The reference is the idempotency key and never changes."""

    reference: str
    public_id: str | None
    owner: Owner
    account: str  # the provider account the money came to; empty where a gateway has one only
    receipt_ref: str  # the provider's name for the money that goes back
    received: Money  # all of it
    amount: Money
    reason: str
    detail: str  # JSON the rail remembers of it
    asked_at: Instant


@dataclass(frozen=True, slots=True)
class RefundTerms:
    """How a gateway gives money back."""

    possible: bool = True
    partly: bool = True
    window: int | None = None  # microseconds since the money arrived
    holds: bool = False  # the amount waits in `held`, and must be there, until the gateway has decided
    gives_fee_back: bool | None = None  # None: as the merchant's option says
    by_hand: bool = False  # an operator sends it
    at_once: bool = False  # and it counts as sent when it is asked for


class Refunder(Protocol):
    """What gives money back."""

    @property
    def refund_terms(self) -> RefundTerms: ...

    async def refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        """Give money back. Repeating it under the same reference must not give it back twice."""
        ...

    async def fetch_refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        """Say what became of a refund, without changing anything."""
        ...


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """What a provider sent, as it came. Names of headers are in lower case."""

    method: str
    body: bytes
    headers: Mapping[str, str]
    query: bytes


class NotAuthentic(Exception):  # noqa: N818 - a refusal, not an error
    """A callback is not, or cannot be shown to be, the provider's; the message is for the merchant's log."""


@dataclass(frozen=True, slots=True)
class SessionNews:
    """What an authentic callback says of a session. The event id is the provider's own; None where it has none."""

    session: str
    verdict: Verdict
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefundNews:
    """What an authentic callback says of a refund, named by its UUID."""

    reference: str
    answer: RefundAnswer
    event_id: str | None = None


class Caller(Protocol):
    """What a gateway with the capability `callback` does. It must fail closed (merchant-api.md §15.3 rule 4)."""

    @property
    def callback_methods(self) -> frozenset[str]: ...

    def named_session(self, request: CallbackRequest) -> str | None:
        """Return the session a request says it is about, unchecked: it only finds whose secret is to fit."""
        ...

    def verify_callback(self, request: CallbackRequest, secret: Secret) -> SessionNews | RefundNews:
        """Return what the provider says. Raises NotAuthentic, also for what cannot be read."""
        ...


class Gateway(Refunder, Protocol):
    """A payment method. Has no access to the database."""

    @property
    def slug(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Literal["api", "manual"]: ...

    @property
    def capabilities(self) -> frozenset[str]: ...

    def read_form(self, form: Mapping[str, str], session: GatewaySession, *, now: Instant) -> str | None:
        """Return what to remember of the payer's form, as JSON; None where the form makes no sense."""
        ...

    async def pay(self, session: GatewaySession, *, now: Instant) -> Verdict:
        """Carry out what the payer submitted. Repeating it under the same reference must not pay twice."""
        ...

    async def fetch_status(self, session: GatewaySession, *, now: Instant) -> Verdict:
        """Say what became of the session, without changing anything."""
        ...
