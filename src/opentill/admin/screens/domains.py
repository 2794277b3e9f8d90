"""A merchant's own hosts: named, proven by a record, served (merchant-api.md §17.5)."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.merchants import domains
from opentill.merchants.domains import Domain


async def index(visit: Visit) -> Response:
    """List the hosts with the record each still needs."""
    return visit.render("admin/settings/domains.html", await _facts(visit))


async def add(visit: Visit) -> Response:
    """Name a host."""
    main_host = urlsplit(visit.deps.settings.public_url).hostname or ""
    merchant_id, ids = visit.owner.merchant_id, visit.deps.ids

    def added(tx: Tx, log: Journalist) -> None:
        made = domains.add(
            tx, visit.field("host"), merchant_id=merchant_id, main_host=main_host, ids=ids, now=visit.now
        )
        log("domain.added", f"domain:{made.host}", after={"state": made.state})

    try:
        await visit.write(added)
    except Invalid as wrong:
        return visit.wrong("admin/settings/domains.html", wrong, await _facts(visit))
    except Conflict as taken:
        return visit.render("admin/settings/domains.html", await _facts(visit, visit.told(taken)), status=409)
    return visit.go(f"{visit.home}/domains", note="saved")


async def change(visit: Visit) -> Response:
    """Look at a host's records again, have links carry it, or forget it."""
    act = _DEEDS.get(visit.path("action"))
    host, merchant_id = visit.path("host"), visit.owner.merchant_id
    if act is None:
        raise NotFound("HOST_NOT_FOUND", "No such host.")

    def changed(tx: Tx, log: Journalist) -> None:
        before = domains.one(tx, host, merchant_id=merchant_id)
        act(tx, host, merchant_id=merchant_id)
        now = {"state": before.state, "primary": before.primary}
        log(f"domain.{visit.path('action')}", f"domain:{host}", before=now)

    await visit.write(changed)
    return visit.go(f"{visit.home}/domains", note="saved")


_DEEDS: Final[dict[str, Callable[..., Domain]]] = {
    "check": domains.look_again,
    "primary": domains.make_primary,
    "remove": domains.remove,
}


async def _facts(visit: Visit, refusal: str = "") -> dict[str, object]:
    found = await visit.read(lambda tx: domains.of_merchant(tx, visit.owner.merchant_id))
    main_host = urlsplit(visit.deps.settings.public_url).hostname or ""
    return {"domains": found, "refusal": refusal, "main_host": main_host}


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/domains", index, "domains.view"),
    Screen("POST", "/m/{merchant}/domains", add, "domains.manage", fresh=True),
    Screen("POST", "/m/{merchant}/domains/{host}/{action}", change, "domains.manage", fresh=True),
)
