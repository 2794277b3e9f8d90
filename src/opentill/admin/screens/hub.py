"""The Developer Hub's first page: where the APIs are, what is done already, and what comes next."""

from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Visit
from opentill.db import ReadTx
from opentill.kernel.owner import Owner


async def start(visit: Visit) -> Response:
    """Show the addresses and the checklist."""
    steps = await visit.read(lambda tx: _steps(tx, visit.owner))
    return visit.render("admin/developers/start.html", {"steps": steps, "address": visit.deps.settings.public_url})


def _steps(tx: ReadTx, owner: Owner) -> dict[str, bool]:
    """Return what of an integration is there already."""
    place = {"merchant_id": owner.merchant_id, "mode": int(owner.mode)}
    questions = {
        "key": "select 1 from api_key where merchant_id = :merchant_id and mode = :mode and status = 'active'",
        "payment": "select 1 from payment where merchant_id = :merchant_id and mode = :mode",
        "paid": "select 1 from payment where merchant_id = :merchant_id and mode = :mode and status = 'completed'",
        "endpoint": "select 1 from webhook_endpoint"
        " where merchant_id = :merchant_id and mode = :mode and kind = 0 and state <> 3",
    }
    return {name: bool(tx.all(f"{question} limit 1", **place)) for name, question in questions.items()}


SCREENS: Final = (Screen("GET", "/m/{merchant}/developers", start, "developers.view"),)
