"""Links to the consumer portal in the hub: given out and shown once, listed, and ended (webhooks.md §12)."""

from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY
from opentill.kernel.errors import Fault, Forbidden, Invalid
from opentill.kernel.secret import Secret
from opentill.operators import queries as operators
from opentill.operators.model import Change
from opentill.web.engine import bounds_of
from opentill.webhooks import portal_access, service
from opentill.webhooks.model import Dialect, Endpoint, Kind
from opentill.webhooks.portal_access import RIGHTS

LISTED: Final = 100
ROTATE: Final = "rotate"  # whoever may do this sees the new secret
USUAL: Final = ("read", "test", "resend")


async def index(visit: Visit) -> Response:
    """List the links, those that still work first."""

    def found(tx: ReadTx) -> dict[str, Any]:
        links = portal_access.links(tx, owner=visit.owner, now=visit.now, limit=LISTED)
        return {
            "links": [(link, operators.name_of(tx, link.created_by)) for link in links],
            "endpoints": {one.public_id: one for one in _endpoints(tx, visit)},
        }

    return visit.render("admin/developers/portal-links.html", await visit.read(found))


async def offer(visit: Visit) -> Response:
    """Ask for whom and for how long."""
    ticked = {"ticked_endpoints": (visit.query("endpoint"),), "ticked_rights": USUAL}
    return visit.render("admin/developers/portal-link-new.html", await _choices(visit) | ticked)


async def create(visit: Visit) -> Response:
    """Make a link and show it, this once."""
    endpoints, rights = visit.lists.get("endpoint", ()), visit.lists.get("right", ())
    if ROTATE in rights and not visit.may("secrets.reveal"):
        raise Forbidden("PERMISSION_MISSING", "Who may not see secrets cannot let somebody else make new ones.")

    def made(tx: Tx, _log: Journalist) -> Secret:
        if not endpoints:
            raise Invalid([Fault("endpoints", "MISSING_FIELD", "Tick at least one endpoint.")])
        return portal_access.make_link(
            tx,
            owner=visit.owner,
            endpoints=endpoints,
            rights=rights,
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
            by=_by(visit, "portal_link.create"),
            life=number(visit.field("days")) * DAY,
            bounds=bounds_of(visit.deps.settings),
        )

    try:
        token = await visit.write(made)
    except Invalid as wrong:
        facts = await _choices(visit) | {"ticked_endpoints": endpoints, "ticked_rights": rights}
        return visit.wrong("admin/developers/portal-link-new.html", wrong, facts)
    address = f"{visit.deps.settings.public_url}/portal/{token.reveal()}"
    return visit.render("admin/developers/portal-link-made.html", {"address": address})


async def end(visit: Visit) -> Response:
    """End a link, and every session it opened, now."""

    def ended(tx: Tx, _log: Journalist) -> None:
        portal_access.revoke_link(
            tx, owner=visit.owner, jti=visit.path("jti"), now=visit.now, by=_by(visit, "portal_link.revoke")
        )

    await visit.write(ended)
    return visit.go(f"{visit.home}/developers/portal-links", note="link-ended")


async def _choices(visit: Visit) -> dict[str, Any]:
    """Return what may be ticked: endpoints their owner made, and rights that the operator has."""
    return {
        "endpoints": await visit.read(lambda tx: _endpoints(tx, visit)),
        "rights": [right for right in RIGHTS if right != ROTATE or visit.may("secrets.reveal")],
        "most_days": visit.deps.settings.webhooks_portal_link_max_days,
    }


def _endpoints(tx: ReadTx, visit: Visit) -> list[Endpoint]:
    every = [one for dialect in Dialect for one in service.of_surface(tx, visit.owner, dialect)]
    return [one for one in every if one.kind is Kind.REGISTERED]


def _by(visit: Visit, action: str) -> Change:
    return Change(visit.who.operator.actor, visit.caller.origin, action, "")


_AT: Final = "/m/{merchant}/developers/portal-links"

SCREENS: Final = (
    Screen("GET", _AT, index, "developers.view"),
    Screen("GET", f"{_AT}/new", offer, "developers.manage", fresh=True),
    Screen("POST", f"{_AT}/new", create, "developers.manage", fresh=True),
    Screen("POST", _AT + "/{jti}/revocation", end, "developers.manage"),
)
