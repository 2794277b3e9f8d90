"""Coming in by a link and going out again. The link is exchanged for a cookie, so that no address keeps it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from opentill.kernel.clock import SECOND
from opentill.merchants import service as merchants
from opentill.web import forms
from opentill.web.addresses import caller_address
from opentill.web.dependencies import Dependencies
from opentill.web.pages import Pages
from opentill.webhooks import portal_access
from opentill.webhooks.portal_access import LinkOver, Visitor

COOKIE: Final = "opentill_portal"
PATH: Final = "/portal"
TRIES_PER_MINUTE: Final = 20  # of links, from one address


class Entrance:
    """Knows visitors by their cookie."""

    def __init__(self, deps: Dependencies, pages: Pages) -> None:
        self.deps = deps
        self.pages = pages
        self._https = deps.settings.public_url.startswith("https://")
        self._tries = deps.limits.counters("portal", open_at_failure=False)

    async def enter(self, request: Request) -> Response:
        """Exchange the link for a cookie, and lead to an address without it."""
        deps, now, origin = self.deps, self.deps.clock.now(), self.origin(request)
        if (await self._tries.take(origin, TRIES_PER_MINUTE, now)).refused:
            return self.pages.problem(request, "busy", HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "60"})
        token = request.path_params["token"]
        try:
            cookie = await deps.db.write(
                lambda tx: portal_access.enter(tx, token, ids=deps.ids, keyring=deps.keyring, now=now, origin=origin)
            )
        except LinkOver:
            return self.closed(request)
        visitor, _ = await deps.db.read(lambda tx: portal_access.visitor(tx, cookie.reveal(), now=now))
        answer = RedirectResponse(f"{PATH}/", HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            cookie.reveal(),
            max_age=max(1, (visitor.expires_at - now) // SECOND),
            path=PATH,
            secure=self._https,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def leave(self, request: Request) -> Response:
        """End the session. Nothing depends on who asks: without the cookie there is nothing to end."""
        await forms.read(request)
        cookie = request.cookies.get(COOKIE)
        if cookie is not None:
            await self.deps.db.write(lambda tx: portal_access.leave(tx, cookie))
        answer = self.closed(request, left=True)
        answer.delete_cookie(COOKIE, path=PATH)
        return answer

    async def visitor(self, request: Request) -> Visitor | None:
        """Return who looks; None without a session that holds."""
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            return None
        now = self.deps.clock.now()
        try:
            found, is_to_note = await self.deps.db.read(lambda tx: portal_access.visitor(tx, cookie, now=now))
        except LinkOver:
            return None
        if is_to_note:
            await self.deps.db.write(lambda tx: portal_access.note_seen(tx, cookie, now=now))
        return found

    def closed(self, request: Request, *, left: bool = False) -> Response:
        """Say that a link is needed."""
        status = HTTPStatus.OK if left else HTTPStatus.NOT_FOUND
        return self.pages.render(request, "portal/closed.html", {"left": left}, status=status)

    async def frame(self, visitor: Visitor, page: str) -> dict[str, Any]:
        """Return what every page of the portal shows around its own matter."""
        merchant = await self.deps.db.read(lambda tx: merchants.merchant_of(tx, visitor.owner))
        return {"frame": Frame(merchant.name, page, visitor)}

    def origin(self, request: Request) -> str:
        """Return the caller's address."""
        peer = request.client.host if request.client else None
        forwarded = [value for name, value in request.scope["headers"] if name == b"x-forwarded-for"]
        return caller_address(peer, forwarded, self.deps.settings.proxies)


@dataclass(frozen=True, slots=True)
class Frame:
    """The head of every page."""

    merchant: str
    page: str
    visitor: Visitor
