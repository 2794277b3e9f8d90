"""The panel's one door: every screen is reached through `Panel`, which asks who is there and what they may do.

A screen is a row of a table: method, path, handler, permission. There is no screen without a permission, and no
other way to a handler. A form counts once, must be ours, and must leave an entry in the audit log, or it is rolled
back: `Visit.write` sees to all three.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import structlog
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from opentill.admin import session
from opentill.admin.entrance import to_sign_in
from opentill.admin.visit import StaleForm, Visit
from opentill.db import Overloaded, ReadTx, Unavailable
from opentill.kernel.errors import Busy, NotFound, Refused
from opentill.merchants import queries as merchants
from opentill.merchants.queries import Brand
from opentill.operators import sign_in
from opentill.operators.model import SignedIn
from opentill.web import forms
from opentill.web.callers import Callers
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamps
from opentill.web.pages import Pages

ANY: Final = "any"  # whoever is signed in, whatever their roles

log = structlog.get_logger("opentill.admin")


@dataclass(frozen=True, slots=True)
class Screen:
    """One page or one action of the panel.

    *fresh*: password and code must have been given within ten minutes. *writes*: its form changes something, which
    the audit log then shows.
    """

    method: str
    path: str  # below /admin
    handle: Callable[[Visit], Awaitable[Response]]
    permission: str
    fresh: bool = False
    file_bytes_max: int = 0  # of the one file the form may carry; 0: none

    @property
    def of_merchant(self) -> bool:
        return self.path.startswith("/m/{merchant}")


class Panel:
    """Authenticates, authorises and hands over."""

    def __init__(self, deps: Dependencies, pages: Pages, stamps: Stamps, screens: Sequence[Screen]) -> None:
        self._deps = deps
        self._pages = pages
        self._stamps = stamps
        self._touched: Callers[SignedIn] = Callers()
        self.screens = tuple(screens)
        self._pages_known = [
            re.compile("/admin" + re.sub(r"\{\w+\}", "[^/]+", screen.path))
            for screen in screens
            if screen.method == "GET"
        ]

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"/admin{screen.path}", self._endpoint(screen), methods=[screen.method]) for screen in self.screens
        ]

    def _endpoint(self, screen: Screen) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._serve(screen, request)

        module = screen.handle.__module__.rpartition(".")[2]
        endpoint.__name__ = f"{module}.{screen.handle.__name__}"  # what the log calls it
        return endpoint

    async def _serve(self, screen: Screen, request: Request) -> Response:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        found = await self._deps.db.read(lambda tx: self._found(tx, screen, request))
        if found is None:
            return to_sign_in(here if screen.method == "GET" else "/admin")
        who, brand, brands = found
        visit = Visit(request, self._deps, self._pages, self._stamps, who, brand, brands)
        if screen.of_merchant and brand is None:
            return self._pages.problem(request, "missing", HTTPStatus.NOT_FOUND)
        if screen.permission != ANY and not visit.may(screen.permission):
            return visit.render("admin/forbidden.html", {"permission": screen.permission}, status=HTTPStatus.FORBIDDEN)
        response = await self._answered(screen, visit, here)
        if self._touched.to_touch(who.session_id, visit.now):
            response.background = BackgroundTask(self._touch, who)  # nobody waits for it
        return response

    async def _answered(self, screen: Screen, visit: Visit, here: str) -> Response:
        request, who = visit.request, visit.who
        if screen.fresh and not sign_in.is_fresh(who, self._deps.clock.now()):
            back = here if screen.method == "GET" else self._page_above(request.url.path)
            return RedirectResponse(f"/admin/account/confirm?next={quote(back, safe='')}", HTTPStatus.SEE_OTHER)
        return await self._handled(screen, visit)

    def _page_above(self, path: str) -> str:
        """Return the page a form stands on: the nearest above its own address, as a browser can go only to pages."""
        while path != "/admin":
            if any(page.fullmatch(path) for page in self._pages_known):
                return path
            path = path.rpartition("/")[0]
        return path

    async def _handled(self, screen: Screen, visit: Visit) -> Response:
        if screen.method == "GET":
            return await screen.handle(visit)
        if screen.file_bytes_max:
            visit.form, visit.files = await forms.read_with_files(
                visit.request, files_max=1, file_bytes_max=screen.file_bytes_max
            )
        else:
            visit.form, visit.lists = await forms.read_lists(visit.request)
        if session.from_elsewhere(visit.request) or not visit.form_is_ours():
            return visit.render("admin/stale.html", {}, status=HTTPStatus.CONFLICT)
        try:
            return await screen.handle(visit)
        except StaleForm:
            return visit.render("admin/repeated.html", {}, status=HTTPStatus.CONFLICT)
        except (NotFound, Busy):
            raise  # these have pages of their own
        except Refused as refusal:
            return visit.refused(refusal, self._page_above(visit.request.url.path))

    def _found(
        self, tx: ReadTx, screen: Screen, request: Request
    ) -> tuple[SignedIn, Brand | None, Sequence[Brand]] | None:
        """Return who is there, the merchant the path names if they may know of it, and those they may know of."""
        now = self._deps.clock.now()
        who = sign_in.recognise(tx, session.token_of(request), keyring=self._deps.keyring, now=now)
        if who is None:
            return None
        brands = merchants.brands(tx, among=None if who.everywhere else who.merchant_ids)
        slug = request.path_params.get("merchant") if screen.of_merchant else None
        brand = next((brand for brand in brands if brand.slug == slug), None)
        return who, brand, brands

    async def _touch(self, who: SignedIn) -> None:
        """Note that a session is in use. A writer that is away is no reason to fail."""
        now = self._deps.clock.now()
        try:
            await self._deps.db.write(lambda tx: sign_in.touch(tx, who.session_id, now=now))
        except (Overloaded, Unavailable) as away:
            log.warning("session not noted as in use", error=repr(away))


def _pattern(screen: Screen) -> re.Pattern[str]:
    return re.compile("/admin" + re.sub(r"\{\w+\}", "[^/]+", screen.path))
