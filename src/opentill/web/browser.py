"""What every page tells the browser: run only our own scripts, show us in no frame, send our address to nobody."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opentill.kernel.ids import Ids

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}
TWO_YEARS_S: Final = 63_072_000


def with_form_targets(origins: tuple[str, ...]) -> str:
    """Return the content policy of a page whose forms may end, after a redirect, at *origins* as well."""
    return " ".join((CONTENT_POLICY, *origins))


class BrowserHeaders:
    """Adds the headers to every answer of the pages; an answer's own value of a header stays."""

    def __init__(self, app: ASGIApp, *, https: bool, ids: Ids) -> None:
        self._app = app
        self._ids = ids
        self._always = dict(HEADERS)
        if https:
            self._always["Strict-Transport-Security"] = f"max-age={TWO_YEARS_S}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {}).setdefault("request_id", self._ids.hex(32))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._always.items():
                    headers.setdefault(name, value)
                headers.setdefault("X-Request-ID", request_id)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
