"""Exports in the background: long sheets are written while whoever asked for them does something else."""

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response

from opentill.admin import sheets
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit, status_of
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from opentill.payments.exports import service
from opentill.payments.exports.model import Export, ExportState, Wanted
from opentill.payments.exports.sheets import SHEETS

PAGE: Final = "admin/reports/exports.html"


async def index(visit: Visit) -> Response:
    """List the exports of the last week with their progress, and offer a new one."""
    return visit.render(PAGE, await _facts(visit))


async def start(visit: Visit) -> Response:
    """Have a sheet of a span of days written."""
    name = visit.field("sheet")
    since, until, days = sheets.span(visit)

    def started(tx: Tx, log: Journalist) -> None:
        wanted, by = Wanted(since, until), visit.who.operator.actor
        export = service.start(tx, name, wanted, owner=visit.owner, by=by, ids=visit.deps.ids, now=visit.now)
        log("export.started", f"export:{export.id}", sheet=name, **days)

    try:
        _require_allowed(visit, name)
        await visit.write(started)
    except Invalid as wrong:
        return visit.wrong(PAGE, wrong, await _facts(visit))
    except (Forbidden, Conflict) as refused:
        facts = await _facts(visit) | {"refusal": visit.told(refused)}
        return visit.render(PAGE, facts, status=status_of(refused))
    return visit.go(f"{visit.home}/exports", note="exporting")


async def fetch(visit: Visit) -> Response:
    """Send a sheet that is written."""
    export_id = visit.path("export")
    export = await visit.read(lambda tx: service.find(tx, export_id, owner=visit.owner))
    if export is None or export.state is not ExportState.DONE or export.sheet not in _allowed(visit):
        raise NotFound("EXPORT_NOT_FOUND", "No such export.")
    file = f"{export.sheet}-{visit.path('merchant')}-{iso_seconds(export.created_at)[:10]}.csv"
    return sheets.download(_parts(visit, export), file)


async def _parts(visit: Visit, export: Export) -> AsyncIterator[bytes]:
    keyring = visit.deps.keyring
    for number in range(export.parts):

        def read(tx: ReadTx, number: int = number) -> bytes:
            return service.part(tx, export.id, number, owner=visit.owner, keyring=keyring)

        yield await visit.read(read)


async def _facts(visit: Visit) -> dict[str, Any]:
    exports = await visit.read(lambda tx: service.of_owner(tx, owner=visit.owner))
    allowed = _allowed(visit)
    return {
        "exports": [one for one in exports if one.sheet in allowed],
        "writing": any(one.state is ExportState.WRITING for one in exports),
        "sheets": allowed,
        "days": sheets.span(visit)[2],
        "again": {one.id: sheets.days_of(one.wanted) for one in exports if one.state is ExportState.FAILED},
        "refusal": "",
    }


def _require_allowed(visit: Visit, name: str) -> None:
    """Raises Invalid for what is no sheet, and Forbidden for one that the operator may not have."""
    if name not in SHEETS:
        raise Invalid([Fault("sheet", "SHEET_UNKNOWN", "Choose one of the list.")])
    if name not in _allowed(visit):
        raise Forbidden(
            "PERMISSION_MISSING",
            "This sheet takes a permission that your role does not include: %(permission)s.",
            permission=SHEETS[name].permission,
        )


def _allowed(visit: Visit) -> list[str]:
    """Return the sheets the operator may have."""
    return [name for name, sheet in SHEETS.items() if visit.may(sheet.permission)]


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/exports", index, "reports.view"),
    Screen("POST", "/m/{merchant}/exports", start, "reports.manage"),
    Screen("GET", "/m/{merchant}/exports/{export}.csv", fetch, "reports.view"),
)
