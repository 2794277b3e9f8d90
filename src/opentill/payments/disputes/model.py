"""What a dispute is: values, no behaviour."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner


class DisputeStatus(StrEnum):
    """Where a dispute stands."""

    OPEN = "open"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"


ENDS: Final = frozenset({DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED})


@dataclass(frozen=True, slots=True)
class Dispute:
    """A contested payment, or a part of one."""

    id: int
    uuid: str
    owner: Owner
    payment_id: int
    receipt_id: int
    gateway: str
    status: DisputeStatus
    amount: Money
    charge: Money  # what is held, in the gateway's currency
    reason: str
    evidence: str | None
    evidence_due_at: Instant | None
    resolved_at: Instant | None
    created_at: Instant
    updated_at: Instant

    @property
    def over(self) -> bool:
        return self.status in ENDS


@dataclass(frozen=True, slots=True)
class ShownDispute:
    """A dispute with the names of its payment."""

    dispute: Dispute
    reference: str
    payment_uuid: str

    @property
    def id(self) -> int:
        return self.dispute.id
