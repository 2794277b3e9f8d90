"""All refunds as a sheet: what went back to payers, and the fee that went back with it."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from starlette.responses import Response, StreamingResponse

from opentill.admin import sheets
from opentill.admin.panel import Screen
from opentill.admin.visit import Visit
from opentill.kernel.clock import iso_seconds
from opentill.kernel.money import render
from opentill.payments.queries import Filters
from opentill.payments.refunds import queries
from opentill.payments.refunds.model import ShownRefund

PAGE: Final = 500
HEAD: Final = (
    *("created_at", "refund_id", "transaction_id", "status", "gateway", "amount", "currency"),
    *("charge_amount", "fee_returned", "charge_currency", "reason", "processed_at"),
)


async def export(visit: Visit) -> Response:
    """Send every refund, newest first. Charge less fee is what the books took from the merchant."""
    return StreamingResponse(
        _lines(visit),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="refunds-{visit.path("merchant")}.csv"'},
    )


async def _lines(visit: Visit) -> AsyncIterator[bytes]:
    yield sheets.lines([HEAD])
    read = partial(queries.page, filters=Filters(), transaction=None, owner=visit.owner, limit=PAGE)
    page = await visit.read(read)
    while page:
        yield sheets.lines(_cells(shown) for shown in page)
        page = await visit.read(partial(read, before=page[-1].id))


def _cells(shown: ShownRefund) -> tuple[str, ...]:
    refund = shown.refund
    return (
        iso_seconds(refund.created_at),
        refund.uuid,
        shown.reference,
        refund.status.value,
        sheets.harmless(refund.gateway),
        render(refund.amount),
        refund.amount.currency.code,
        render(refund.charge),
        sheets.exact(refund.fee.units, refund.fee.currency.code),
        refund.charge.currency.code,
        sheets.harmless(refund.reason),
        iso_seconds(refund.processed_at) if refund.processed_at else "",
    )


SCREENS: Final = (Screen("GET", "/m/{merchant}/refunds.csv", export, "refunds.view"),)
