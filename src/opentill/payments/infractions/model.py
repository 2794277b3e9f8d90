"""One contest of a receipt."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner


class State(StrEnum):
    """The states of a contest; the arrows between them are D1–D8 of pix-api.md §16.5."""

    OPEN = "open"
    DEFENDED = "defended"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


UNDECIDED: Final = frozenset({State.OPEN, State.DEFENDED})
ALIVE: Final = UNDECIDED | {State.ACCEPTED}  # more may be blocked or returned
RESULTS: Final = {State.ACCEPTED: "AGREED", State.RETURNED: "AGREED", State.REJECTED: "DISAGREED"}


@dataclass(frozen=True, slots=True)
class Contested:
    """The receipt a contest is about, with the names merchants know it by."""

    id: int
    owner: Owner
    merchant_uuid: str
    account_id: int
    amount: Money
    transaction_id: str
    end_to_end_id: str
    external_id: str | None
    payer_ispb: str | None
    received_at: Instant


@dataclass(frozen=True, slots=True)
class Infraction:
    """A contest: what is blocked for it, and what went back."""

    id: str
    receipt: Contested
    ref: str
    state: State
    kind: str
    amount: Money
    blocked: Money
    returned: Money
    moves: int  # journals of its block so far
    blocks: bool
    reason: str | None
    counterpart_ispb: str | None
    defense_text: str | None
    evidence: str | None
    block_id: str
    task: str | None
    opened_at: Instant
    defense_until_at: Instant
    defended_at: Instant | None
    resolved_at: Instant | None
    completed_at: Instant | None
    watched_until_at: Instant
    due_at: Instant | None

    @property
    def owner(self) -> Owner:
        return self.receipt.owner

    @property
    def status(self) -> str:
        """Return the word of the PIX API."""
        if self.state in UNDECIDED:
            return "ACKNOWLEDGED"
        return "CANCELLED" if self.state is State.CANCELLED else "CLOSED"

    @property
    def missing(self) -> Money:
        """Return what is still to be blocked."""
        nothing = Money(0, self.amount.currency)
        if not self.blocks or self.state not in ALIVE:
            return nothing
        return max(self.amount - self.returned - self.blocked, nothing)
