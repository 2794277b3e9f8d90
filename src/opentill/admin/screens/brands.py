"""Merchants (brands): the list, a new one, and its settings."""

from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.mode import Mode
from opentill.merchants.model import Merchant
from opentill.web.onboarding import open_merchant

NAME_MAX: Final = 80  # characters


async def index(visit: Visit) -> Response:
    return visit.render("admin/brands/index.html")


async def offer(visit: Visit) -> Response:
    """Ask for the name of a new merchant; the first one is made in the sandbox."""
    return visit.render("admin/brands/new.html", {"first": not visit.brands})


async def create(visit: Visit) -> Response:
    """Make a merchant, and lead on to its first API key."""
    name, mode = " ".join(visit.field("name").split()), Mode.LIVE if visit.field("mode") == "live" else Mode.SANDBOX
    if not name or len(name) > NAME_MAX:
        fault = Fault("name", "NAME_REQUIRED", "Enter a name of at most 80 characters.")
        return visit.wrong("admin/brands/new.html", Invalid([fault]), {"first": not visit.brands})

    def audited(tx: Tx, merchant: Merchant) -> None:
        visit.use_form(tx)
        Journalist(visit, tx)("merchant.created", merchant.uuid, after={"name": name, "mode": mode.name.lower()})

    merchant, _, _ = await open_merchant(visit.deps, name, mode=mode, also=audited)
    return visit.go(f"/admin/m/{merchant.slug}/developers/keys/new")


SCREENS: Final = (
    Screen("GET", "/merchants", index, "merchants.view"),
    Screen("GET", "/merchants/new", offer, "merchants.manage"),
    Screen("POST", "/merchants", create, "merchants.manage"),
)
