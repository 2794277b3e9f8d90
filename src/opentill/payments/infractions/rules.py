"""Decisions about contests: values in, values out."""

from typing import Any, Final

from opentill.kernel.clock import DAY, HOUR, Instant
from opentill.kernel.errors import Conflict
from opentill.kernel.money import Money
from opentill.ledger import AVAILABLE, HELD, Entry, Journal, clearing
from opentill.payments.infractions.model import RESULTS, UNDECIDED, Infraction, State
from opentill.pix.model import GATEWAY
from opentill.pix.port import Nature

DEFENSE_WITHIN: Final = 72 * HOUR  # where the bank names no deadline
WATCHED: Final = 90 * DAY  # from the transaction: so long the block is filled up and returns may come
REASONS: Final = {Nature.MED_FRAUD: "FRAUD", Nature.MED_OPERATIONAL: "OPERATIONAL_FLAW"}
MED: Final = frozenset({Nature.MED_FRAUD, Nature.MED_OPERATIONAL, Nature.MED_AUTOMATIC})


def require_defensible(infraction: Infraction, *, now: Instant) -> None:
    """Raises Conflict where no defence is taken any more."""
    if infraction.state not in UNDECIDED:
        raise Conflict("MED_CLOSED", "MED is already closed")
    if infraction.state is State.DEFENDED:
        raise Conflict("MED_DEFENDED", "Defense was already submitted")
    if now >= infraction.defense_until_at:
        raise Conflict("MED_DEADLINE", "Defense deadline has passed")


def blocked_journal(infraction: Infraction, amount: Money) -> Journal:
    """Block money of the merchant (L11)."""
    return _move(infraction, "infraction.blocked", AVAILABLE.debit(amount), HELD.credit(amount))


def released_journal(infraction: Infraction, amount: Money) -> Journal:
    """Give what was blocked back to the merchant (L12)."""
    return _move(infraction, "infraction.released", HELD.debit(amount), AVAILABLE.credit(amount))


def returned_journal(infraction: Infraction, amount: Money, *, of_block: Money, public_id: str) -> Journal:
    """Money has gone back to the payer: the block first, the rest from what the merchant has or owes (L13)."""
    account = clearing(f"{GATEWAY}:{infraction.receipt.account_id}")
    return Journal(
        owner=infraction.owner,
        kind="infraction.returned",
        source_type="infraction_return",
        source_id=public_id,
        entries=(HELD.debit(of_block), AVAILABLE.debit(amount - of_block), account.credit(amount)),
    )


def infraction_part(infraction: Infraction) -> dict[str, Any]:
    """Return what an event says of a contest (docs/events.md)."""
    return {
        "med_id": infraction.id,
        "status": infraction.status,
        "infraction_type": infraction.kind,
        "amount_units": infraction.amount.units,
        "e2e_id": infraction.receipt.end_to_end_id,
        "transaction_id": infraction.receipt.transaction_id,
        "defense_deadline": infraction.defense_until_at,
        "counterpart_ispb": infraction.counterpart_ispb,
        "created_at": infraction.opened_at,
        "defense_submitted_at": infraction.defended_at,
        "analysis_result": RESULTS.get(infraction.state),
        "resolved_at": infraction.resolved_at,
        "end_to_end_id": infraction.receipt.end_to_end_id,
        "kind": infraction.kind,
        "reason": infraction.reason,
    }


def med_part(infraction: Infraction, *, return_id: str | None = None) -> dict[str, Any]:
    """Return what an event says of the return a contest asks for (docs/events.md)."""
    return {
        "med_id": infraction.id,
        "transaction_id": infraction.receipt.transaction_id,
        "end_to_end_id": infraction.receipt.end_to_end_id,
        "external_id": infraction.receipt.external_id,
        "amount_units": infraction.amount.units,
        "reason": infraction.reason,
        "requested_at": infraction.opened_at,
        "defense_deadline": infraction.defense_until_at,
        "completed_at": infraction.completed_at,
        "returned_units": infraction.returned.units,
        "return_id": return_id,
        "analysis_result": RESULTS.get(infraction.state),
    }


def _move(infraction: Infraction, kind: str, *entries: Entry) -> Journal:
    return Journal(
        owner=infraction.owner,
        kind=kind,
        source_type="infraction",
        source_id=f"{infraction.id}/{infraction.moves}",
        entries=entries,
    )
