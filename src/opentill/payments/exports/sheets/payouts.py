"""All payouts: what a merchant sent, what it cost, and what of it came back.

Amount and fee of the completed and returned ones are what left the books; the others hold or took nothing for good.
"""

from typing import Final

from opentill.db import ReadTx
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.money import render
from opentill.kernel.owner import Owner
from opentill.payments.exports.cells import exact, harmless
from opentill.payments.exports.model import Page, Wanted
from opentill.payments.exports.sheet import Sheet
from opentill.pix.payouts import queries
from opentill.pix.payouts.model import Payout

PAGE: Final = 500
HEAD: Final = (
    *("created_at", "payout_id", "external_id", "end_to_end_id", "status", "amount", "fee", "amount_returned"),
    *("currency", "recipient_key", "recipient_name", "description", "failure", "completed_at"),
)


def page(tx: ReadTx, wanted: Wanted, cursor: str, owner: Owner, now: Instant) -> Page:
    found = queries.page(
        tx,
        owner=owner,
        limit=PAGE,
        since=wanted.since,
        until=wanted.before,
        before=cursor or None,
    )
    return Page(
        [_cells(payout) for payout in found],
        found[-1].id if len(found) == PAGE else None,
        found[-1].created_at if found else None,
    )


def _cells(payout: Payout) -> tuple[str, ...]:
    return (
        iso_seconds(payout.created_at),
        payout.id,
        harmless(payout.external_id),
        payout.end_to_end_id or "",
        payout.state.value,
        render(payout.amount),
        exact(payout.fee.units, payout.fee.currency.code),
        render(payout.returned),
        payout.amount.currency.code,
        harmless(payout.recipient_key),
        harmless(payout.recipient_name),
        harmless(payout.description),
        harmless(payout.failure.reason if payout.failure else ""),
        iso_seconds(payout.completed_at) if payout.completed_at else "",
    )


SHEET: Final = Sheet("payouts", "payouts.view", HEAD, page)
