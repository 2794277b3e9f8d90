"""Payouts and what is asked for one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.pix.port import Target


class State(StrEnum):
    """The states of a payout; the arrows between them are O1–O13 of pix-api.md §16.3."""

    PENDING_APPROVAL = "pending_approval"
    ACCEPTED = "accepted"
    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"  # nobody knows whether the bank got it
    PROCESSING = "processing"
    HELD = "held"  # waits for a person at the bank
    COMPLETED = "completed"
    RETURNED = "returned"  # completed, and all of it came back
    FAILED = "failed"


TO_SEND: Final = frozenset({State.ACCEPTED, State.QUEUED})
PAID: Final = frozenset({State.COMPLETED, State.RETURNED})


@dataclass(frozen=True, slots=True)
class Order:
    """What a merchant asks to be sent, checked and ready to store."""

    amount: Money
    target: Target
    recipient_key: str | None
    description: str | None = None
    external_id: str | None = None
    end_to_end_id: str | None = None
    recipient_name: str | None = None
    recipient_document: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a payout failed: *reason* is the rail's code or our word in capitals, *code* the canonical word."""

    reason: str
    code: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Payout:
    """Money a merchant sends. Amount and fee are held from the beginning to the end."""

    id: str
    uuid: str
    owner: Owner
    merchant_uuid: str
    account_id: int
    state: State
    amount: Money
    fee: Money
    returned: Money
    target: Target
    recipient_key: str | None
    description: str | None
    external_id: str | None
    end_to_end_id: str | None
    recipient_name: str | None
    recipient_document: str | None
    failure: Failure | None
    created_by: str
    decided_by: str | None
    decision_reason: str | None
    due_at: Instant | None
    tries: int
    submitted_at: Instant | None
    queued_at: Instant | None
    created_at: Instant
    updated_at: Instant
    completed_at: Instant | None
    failed_at: Instant | None

    @property
    def hold(self) -> Money:
        """Return what is taken from the merchant: amount and fee."""
        return self.amount + self.fee
