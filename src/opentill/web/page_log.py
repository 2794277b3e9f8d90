"""One line in the log for each page that was asked for, and the whole story of one that broke.

A line names the handler, never the address: the addresses of pages are secrets.
"""

import time
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opentill.web import metrics

SILENT: Final = frozenset({"serve"})  # assets
log = structlog.get_logger("opentill.requests")


class PageLog:
    """Wraps an application of pages. What it raises ends here: the reader has had a page with the request id."""

    def __init__(self, app: ASGIApp, *, surface: str) -> None:
        self._app = app
        self._surface = surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            status = int(message.get("status", status))
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:  # whatever it is, it is our bug: the reader learns the request id, the log the rest
            log.exception("unexpected error", surface=self._surface, **_named(scope))
            if not status:
                raise
        self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        named = _named(scope)
        if named["operation"] in SILENT:
            return
        metrics.observe(self._surface, scope["method"], named["operation"], status, seconds)
        log.info(
            "request",
            surface=self._surface,
            method=scope["method"],
            status=status,
            ms=round(seconds * 1000, 2),
            **named,
        )


def _named(scope: Scope) -> dict[str, str]:
    return {
        "request_id": scope.get("state", {}).get("request_id", ""),
        "operation": getattr(scope.get("endpoint"), "__name__", "none"),
    }
