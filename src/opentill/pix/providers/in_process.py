"""Reaching an ASGI application in this process: the same bytes as over the network, without the network."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from opentill.kernel.asgi import Application, Message
from opentill.pix.port import Ambiguous
from opentill.pix.providers.transport import RawAnswer


class InProcess:
    """A `Transport` whose only host is one application."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> RawAnswer:
        """Return the application's answer. An answer it never finishes is a broken connection: `Ambiguous`."""
        exchange = _Exchange(body)
        try:
            async with asyncio.timeout(timeout_s):
                await self._app(_scope(method, url, headers, len(body)), exchange.receive, exchange.send)
        except TimeoutError:
            raise Ambiguous(f"no answer within {timeout_s:g} s") from None
        return exchange.answer()


class _Exchange:
    """One request and what the application says to it."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._complete = False

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    def answer(self) -> RawAnswer:
        if not self._complete:
            raise Ambiguous("connection broken before the answer was complete")
        return RawAnswer(self._status, self._headers, b"".join(self._parts))


def _scope(method: str, url: str, headers: Mapping[str, str], length: int) -> dict[str, Any]:
    whole, _, query = url.partition("?")
    scheme, _, rest = whole.partition("://")
    authority, slash, below = rest.partition("/")
    path = slash + below
    host, server = _server(scheme, authority)
    sent = [(b"host", host), (b"content-length", b"%d" % length)]
    sent += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": sent,
        "client": ("127.0.0.1", 0),
        "server": server,
    }


@lru_cache(maxsize=64)  # an application has few addresses
def _server(scheme: str, authority: str) -> tuple[bytes, tuple[str | None, int]]:
    """Return the `Host` of a request and where its server listens."""
    parts = urlsplit(f"//{authority}")
    return authority.encode(), (parts.hostname, parts.port or (443 if scheme == "https" else 80))
