"""The kit every page is made with: templates, languages, style sheets, and what is shown when something is wrong.

An edge makes one `Pages`, renders with it, and turns its routes into an application:

    pages = Pages(ids=deps.ids, public_url=deps.settings.public_url)
    app = pages.application([Route("/{token}", show)], surface="checkout")
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from opentill.db import Unavailable
from opentill.kernel.errors import Busy, NotFound, Refused
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money, currency, render
from opentill.web import formats, languages
from opentill.web.assets import PACKAGE, Assets
from opentill.web.browser import BrowserHeaders
from opentill.web.languages import Language
from opentill.web.page_log import PageLog

LANGUAGE_COOKIE: Final = "opentill_language"
YEAR_S: Final = 31_536_000
COMPRESS_FROM_BYTES: Final = 600
COMPRESSION: Final = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for the template: a word it has texts for, and a status."""

    kind: str  # missing, method, large, busy, refused, broken
    status: int
    request_id: str


class StorablePaths:
    """Puts U+FFFD for U+0000 in a path: no name has either, and PostgreSQL is asked for no text with the latter."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "\0" in scope.get("path", ""):
            scope = {**scope, "path": scope["path"].replace("\0", "\ufffd")}
        await self._app(scope, receive, send)


class Pages:
    """Renders templates in the reader's language."""

    def __init__(self, *, ids: Ids, public_url: str, spoken: Mapping[str, Language] | None = None) -> None:
        self.assets = Assets()
        self.languages = languages.load() if spoken is None else spoken
        self._ids = ids
        self._https = public_url.startswith("https://")
        self._environments = {tag: self._environment(language) for tag, language in self.languages.items()}

    def render(
        self,
        request: Request,
        template: str,
        facts: Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Return a page: *template* is `<room>/<file>`, *facts* is all it knows."""
        language = self.language_of(request)
        body = self._environments[language.tag].get_template(template).render(facts)
        response = HTMLResponse(body, status, headers=dict(headers or {}))
        response.headers["Content-Language"] = language.tag
        response.headers["Vary"] = "Accept-Language, Cookie"
        if request.query_params.get("lang") == language.tag:
            self._remember(response, language)
        return response

    def language_of(self, request: Request) -> Language:
        return languages.choose(
            self.languages,
            asked=request.query_params.get("lang"),
            remembered=request.cookies.get(LANGUAGE_COOKIE),
            accepted=request.headers.get("accept-language", ""),
        )

    def application(self, routes: Sequence[BaseRoute], *, surface: str) -> ASGIApp:
        """Return an application of pages: safe headers, compression, a log, and a page for every kind of failure."""
        packing = Middleware(GZipMiddleware, minimum_size=COMPRESS_FROM_BYTES, compresslevel=COMPRESSION)
        pages = Starlette(
            routes=list(routes),
            middleware=[packing, Middleware(StorablePaths)],
            exception_handlers={
                HTTPException: self._http_problem,
                Refused: self._refused,
                Unavailable: self._away,
                Exception: self._broken,
            },
        )
        pages.router.redirect_slashes = False  # it would build an address from the Host header
        # Outermost, because the page of an unexpected failure is made outside every other middleware.
        return BrowserHeaders(PageLog(pages, surface=surface), https=self._https, ids=self._ids)

    def problem(self, request: Request, kind: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        """Return the page that explains a failure."""
        told = Problem(kind, status, request.state.request_id)
        return self.render(request, "web/problem.html", {"problem": told}, status=status, headers=headers)

    async def _http_problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's promise
        kinds = {404: "missing", 405: "method", 413: "large"}
        return self.problem(request, kinds.get(error.status_code, "refused"), error.status_code, error.headers)

    async def _refused(self, request: Request, refusal: Exception) -> Response:
        if isinstance(refusal, Busy):
            return self._busy(request, refusal.retry_after_s)
        if isinstance(refusal, NotFound):
            return self.problem(request, "missing", HTTPStatus.NOT_FOUND)
        return self.problem(request, "refused", HTTPStatus.CONFLICT)

    async def _away(self, request: Request, _: Exception) -> Response:
        return self._busy(request, Unavailable.retry_after_s)

    async def _broken(self, request: Request, _: Exception) -> Response:
        return self.problem(request, "broken", HTTPStatus.INTERNAL_SERVER_ERROR)

    def _busy(self, request: Request, retry_after_s: int) -> Response:
        return self.problem(request, "busy", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(retry_after_s)})

    def _remember(self, response: Response, language: Language) -> None:
        response.set_cookie(
            LANGUAGE_COOKIE,
            language.tag,
            max_age=YEAR_S,
            path="/",
            secure=self._https,
            httponly=True,
            samesite="lax",
        )

    def _environment(self, language: Language) -> jinja2.Environment:
        """Return the templates of every room, speaking one language."""
        environment = jinja2.Environment(
            loader=jinja2.PrefixLoader(
                {folder.parent.name: jinja2.FileSystemLoader(folder) for folder in sorted(PACKAGE.glob("*/templates"))}
            ),
            autoescape=True,
            auto_reload=False,  # files do not change under a running process
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.policies["ext.i18n.trimmed"] = True
        environment.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined]
        environment.filters["money"] = lambda amount: formats.money(amount, language.locale)
        environment.filters["plain"] = render
        environment.filters["decimal"] = lambda number: formats.decimal(number, language.locale)
        environment.filters["ago"] = lambda microseconds: formats.ago(microseconds, language.locale)
        environment.filters["day"] = lambda when: formats.day(when, language.locale)
        environment.filters["exact"] = lambda amount: formats.exact(amount, language.locale)
        environment.filters["plain"] = render
        environment.filters["amount"] = lambda units, code: Money(units, currency(code))
        environment.filters["short_day"] = lambda instant: formats.short_day(instant, language.locale)
        environment.filters["time"] = lambda instant: formats.time(instant, language.locale)
        environment.globals.update(asset=self.assets.url, language=language, languages=self.languages)
        return environment
