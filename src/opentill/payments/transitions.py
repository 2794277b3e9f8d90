"""What may become what, who causes it and what it says: merchant-api.md §10, in one table.

A pair of state and cause that is not listed changes nothing. The tests play every pair; the diagrams of
docs/states.md are drawn from these rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What can happen to a payment, refund or dispute."""

    OPENS = "the payer opens a try with another gateway"
    SUBMITS = "the payer submits a manual payment"
    DECLINES = "the gateway declines"
    DECLINES_LAST = "the gateway declines the last try"
    PAYS = "the exact amount arrives"
    PAYS_OTHER = "another amount arrives"
    CANCELS = "the payer or the merchant cancels"
    TIME = "its time passes"
    CLAIMS = "an operator claims it"
    APPROVES = "an operator approves"
    REJECTS = "an operator rejects, another try allowed"
    REJECTS_FINALLY = "an operator rejects for good"
    MARKS_PAID = "an operator marks it as paid"
    OPERATOR_CANCELS = "an operator cancels"
    REFUNDS_ALL = "all of it is refunded"

    SAYS_YES = "the gateway says yes"
    SAYS_NO = "the gateway says no"
    SAYS_NOTHING = "the gateway does not know yet"

    ANSWERS = "an operator sends evidence"
    WINS = "it is won"
    LOSES = "it is lost"
    CLOSES = "it is closed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One arrow: from a state, by a cause, to a state; the event it records and the journals it posts."""

    before: str
    cause: Cause
    after: str
    events: tuple[str, ...] = ()
    journals: tuple[str, ...] = ()


def _rows(befores: str, cause: Cause, after: str, events: str = "", journals: str = "") -> Iterable[Transition]:
    for before in befores.split():
        yield Transition(before, cause, after, tuple(events.split()), tuple(journals.split()))


PAID: Final = ("payment.completed", "payment.completed")

# The transaction's words, which are finer than the payment's six (§10.1, §10.2).
TRANSACTION: Final[Sequence[Transition]] = (
    *_rows("pending processing", Cause.OPENS, "processing", "payment.processing"),
    *_rows("processing", Cause.SUBMITS, "awaiting_verification"),
    *_rows("awaiting_verification", Cause.SUBMITS, "awaiting_verification"),
    *_rows("pending_review", Cause.SUBMITS, "awaiting_verification"),
    *_rows("processing", Cause.DECLINES, "pending"),
    *_rows("processing", Cause.DECLINES_LAST, "failed", "payment.failed"),
    *_rows("pending processing awaiting_verification pending_review", Cause.PAYS, "completed", *PAID),
    *_rows("failed cancelled expired", Cause.PAYS, "completed", *PAID),
    *_rows("completed refunded", Cause.PAYS, "=", "", "receipt.credited"),
    *_rows("pending processing awaiting_verification", Cause.PAYS_OTHER, "pending_review", "", "receipt.held"),
    *_rows("pending_review failed cancelled expired", Cause.PAYS_OTHER, "=", "", "receipt.held"),
    *_rows("completed refunded", Cause.PAYS_OTHER, "=", "", "receipt.credited"),
    *_rows("pending processing", Cause.CANCELS, "cancelled", "payment.cancelled"),
    *_rows("pending processing", Cause.TIME, "expired", "payment.expired"),
    *_rows("awaiting_verification", Cause.CLAIMS, "pending_review"),
    *_rows("awaiting_verification pending_review", Cause.APPROVES, "completed", *PAID),
    *_rows("awaiting_verification pending_review", Cause.REJECTS, "pending"),
    *_rows("awaiting_verification pending_review", Cause.REJECTS_FINALLY, "failed", "payment.failed"),
    *_rows("pending processing failed cancelled expired", Cause.MARKS_PAID, "completed", *PAID),
    *_rows(
        "pending processing awaiting_verification pending_review",
        Cause.OPERATOR_CANCELS,
        "cancelled",
        "payment.cancelled",
    ),
    *_rows("completed", Cause.REFUNDS_ALL, "refunded", "refund.created refund.completed", "refund.completed"),
)

REFUND: Final[Sequence[Transition]] = (
    *_rows("pending", Cause.SAYS_YES, "completed", "refund.completed", "refund.completed"),
    *_rows("pending", Cause.SAYS_NO, "failed", "refund.failed"),
)

DISPUTE: Final[Sequence[Transition]] = (
    *_rows("open", Cause.ANSWERS, "under_review"),
    *_rows("open under_review", Cause.WINS, "won", "dispute.resolved", "dispute.released"),
    *_rows("open under_review", Cause.CLOSES, "closed", "dispute.resolved", "dispute.released"),
    *_rows("open under_review", Cause.LOSES, "lost", "dispute.resolved", "dispute.lost"),
)

TABLES: Final = {"transaction": TRANSACTION, "refund": REFUND, "dispute": DISPUTE}
BIRTHS: Final = {"transaction": "pending", "refund": "pending", "dispute": "open"}


def of(table: Sequence[Transition], before: str, cause: Cause) -> Transition:
    """Return what a cause does to a state; a pair that is not listed does nothing."""
    for row in table:
        if (row.before, row.cause) == (before, cause):
            return row if row.after != "=" else Transition(before, cause, before, row.events, row.journals)
    return Transition(before, cause, before)


def states(table: Sequence[Transition]) -> Sequence[str]:
    """Return the states of a table in the order in which they first appear."""
    named = [state for row in table for state in (row.before, row.after) if state != "="]
    return list(dict.fromkeys(named))


def diagram(name: str) -> str:
    """Return the arrows of a table as a Mermaid state diagram."""
    arrows = [
        f"    {row.before} --> {row.after}: {row.cause}" for row in TABLES[name] if row.after not in ("=", row.before)
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {BIRTHS[name]}", *arrows])
