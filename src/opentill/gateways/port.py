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


class Gateway(Protocol):
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
