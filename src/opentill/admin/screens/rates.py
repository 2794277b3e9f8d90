"""Exchange rates, for gateways that charge another currency than the payment's (merchant-api.md §6.2)."""

from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Invalid
from opentill.payments import conversion

PAGE: Final = "admin/settings/rates.html"


async def show(visit: Visit) -> Response:
    """List the rates that are kept, and tell which of them are too old."""
    return visit.render(PAGE, {"rates": await visit.read(conversion.rates)})


async def change(visit: Visit) -> Response:
    """Set a rate. It goes before one of a feed, and is used for a day."""
    base, quote = visit.field("base").upper(), visit.field("quote").upper()
    rate = visit.field("rate").replace(",", ".")

    def changed(tx: Tx, log: Journalist) -> None:
        before = conversion.set_rate(tx, base, quote, rate, source="operator", now=visit.now)
        log("rate.set", f"rate:{base}/{quote}", before=before.rate if before else None, after=rate)

    try:
        await visit.write(changed)
    except Invalid as wrong:
        return visit.wrong(PAGE, wrong, {"rates": await visit.read(conversion.rates)})
    return visit.go("/admin/rates", note="saved")


SCREENS: Final = (
    Screen("GET", "/rates", show, "currencies.view"),
    Screen("POST", "/rates", change, "currencies.manage"),
)
