"""Sending a sheet while it is read, and what the query of a list or of the reports narrows it to."""

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from opentill.admin.numbers import day_start, number
from opentill.admin.visit import Visit
from opentill.db import ReadTx
from opentill.kernel.clock import DAY, Instant, after, iso_seconds
from opentill.payments.exports import cells
from opentill.payments.exports.model import Page, Wanted
from opentill.payments.exports.sheets import SHEETS

DAYS: Final = 30  # of a report, where nobody says which
STATUSES: Final = ("pending", "processing", "pending_review", "completed", "failed", "cancelled", "expired")


def span(visit: Visit) -> tuple[Instant, Instant, dict[str, Any]]:
    """Return the span of the form or the query, by default the last thirty days; and its days as a form shows them."""
    today = Instant(visit.now // DAY * DAY)
    since, last = day_start(_said(visit, "since")), day_start(_said(visit, "until"))
    since = since if since is not None else after(today, -(DAYS - 1) * DAY)
    last = last if last is not None else today
    asked = {"since": iso_seconds(since)[:10], "until": iso_seconds(last)[:10]}
    return since, after(last, DAY), asked


def days_of(wanted: Wanted) -> dict[str, str]:
    """Return the days that a form asks for the same span by."""
    last = after(wanted.before, -DAY) if wanted.before is not None else None
    days = {"since": wanted.since, "until": last}
    return {name: iso_seconds(day)[:10] if day is not None else "" for name, day in days.items()}


def _said(visit: Visit, name: str) -> str:
    return visit.field(name) or visit.query(name)


def wanted_of(visit: Visit) -> Wanted:
    """Return what the query narrows a sheet to. What cannot be, narrows nothing."""
    status, until = visit.query("status"), day_start(visit.query("until"))
    return Wanted(
        since=day_start(visit.query("since")),
        before=after(until, DAY) if until is not None else None,
        status=status if status in STATUSES else "",
        gateway=visit.query("gateway"),
        order_id=visit.query("order"),
        account=number(visit.query("account")),
    )


def sent(visit: Visit, name: str, file: str, wanted: Wanted | None = None) -> Response:
    """Return a sheet as a download that begins at once, however long it is."""
    return download(_lines(visit, name, wanted or wanted_of(visit)), file)


def download(lines: AsyncIterator[bytes], file: str) -> Response:
    return StreamingResponse(
        lines,
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


async def _lines(visit: Visit, name: str, wanted: Wanted) -> AsyncIterator[bytes]:
    sheet, cursor = SHEETS[name], ""
    yield cells.lines([sheet.head])
    while True:

        def read(tx: ReadTx, cursor: str = cursor) -> Page:
            return sheet.page(tx, wanted, cursor, visit.owner, visit.now)

        page = await visit.read(read)
        yield cells.lines(page.lines)
        if page.cursor is None:
            return
        cursor = page.cursor
