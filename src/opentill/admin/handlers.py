"""The panel as one application: the first pages, the ways in, and every screen."""

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from opentill.admin import screens
from opentill.admin.entrance import Entrance
from opentill.admin.panel import Panel
from opentill.admin.setup import Setup
from opentill.web.assets import PREFIX
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamps
from opentill.web.pages import Pages


def create_admin_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at the root, below everything else; it serves the assets too."""
    pages = pages or Pages(ids=deps.ids, public_url=deps.settings.public_url)
    return pages.application(routes(deps, pages), surface="admin")


def routes(deps: Dependencies, pages: Pages) -> list[BaseRoute]:
    """Return every route below the root."""
    stamps = Stamps(deps.keyring, deps.ids)
    return [
        *Setup(deps, pages, stamps).routes(),
        *Entrance(deps, pages, stamps, deps.limits.counters("forgotten", open_at_failure=False)).routes(),
        *Panel(deps, pages, stamps, screens.ALL).routes(),
        Route(PREFIX + "/{digest}/{name:path}", pages.assets.serve),
    ]
