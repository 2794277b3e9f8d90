"""Where the panel begins, and its way out."""

from http import HTTPStatus
from typing import Final

from starlette.responses import RedirectResponse, Response

from opentill.admin import session
from opentill.admin.panel import ANY, Screen
from opentill.admin.visit import Visit
from opentill.operators import sign_in


async def begin(visit: Visit) -> Response:
    """Lead to the first merchant there is, or to making it."""
    if visit.brands:
        return visit.go(f"/admin/m/{visit.brands[0].slug}")
    if visit.may("merchants.manage"):
        return visit.go("/admin/merchants/new")
    return visit.render("admin/nothing.html")


async def sign_out(visit: Visit) -> Response:
    """End this session."""
    await visit.deps.db.write(lambda tx: sign_in.leave(tx, visit.who.session_id, now=visit.now))
    response = RedirectResponse("/admin/sign-in", HTTPStatus.SEE_OTHER)
    session.forget(response, visit.deps.settings)
    return response


SCREENS: Final = (
    Screen("GET", "", begin, ANY),
    Screen("POST", "/sign-out", sign_out, ANY),
)
