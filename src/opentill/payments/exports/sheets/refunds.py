"""All refunds: what went back to payers, and the fee that went back with it.

Charge less fee is what the books took from the merchant.
"""

from typing import Final

from opentill.db import ReadTx
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.money import render
from opentill.kernel.owner import Owner
from opentill.payments.exports.cells import exact, harmless
from opentill.payments.exports.model import Page, Wanted
from opentill.payments.exports.sheet import Sheet
from opentill.payments.queries import Filters
from opentill.payments.refunds import queries
from opentill.payments.refunds.model import ShownRefund

PAGE: Final = 500
HEAD: Final = (
    *("created_at", "refund_id", "transaction_id", "status", "gateway", "amount", "currency"),
    *("charge_amount", "fee_returned", "charge_currency", "reason", "processed_at"),
)


def page(tx: ReadTx, wanted: Wanted, cursor: str, owner: Owner, now: Instant) -> Page:
    filters, before = Filters(since=wanted.since, before=wanted.before), int(cursor) if cursor else None
    found = queries.page(tx, filters, transaction=None, owner=owner, limit=PAGE, before=before)
    return Page(
        [_cells(shown) for shown in found],
        str(found[-1].id) if len(found) == PAGE else None,
        found[-1].refund.created_at if found else None,
    )


def _cells(shown: ShownRefund) -> tuple[str, ...]:
    refund = shown.refund
    return (
        iso_seconds(refund.created_at),
        refund.uuid,
        shown.reference,
        refund.status.value,
        harmless(refund.gateway),
        render(refund.amount),
        refund.amount.currency.code,
        render(refund.charge),
        exact(refund.fee.units, refund.fee.currency.code),
        refund.charge.currency.code,
        harmless(refund.reason),
        iso_seconds(refund.processed_at) if refund.processed_at else "",
    )


SHEET: Final = Sheet("refunds", "refunds.view", HEAD, page)
