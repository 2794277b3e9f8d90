"""What both APIs share around an operation: reading the body, sending the answer, failing well, one line in the log.

An API is an ASGI application of its own that `main` mounts. Its `answer` makes the checks in the order of its
document; whatever stops a call is raised and becomes an answer of the API's own shape.
"""

import asyncio
import gzip
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, ClassVar, Final, Generic, TypeVar

import structlog

from opentill.db import Unavailable
from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.errors import Busy, Refused
from opentill.web import metrics
from opentill.web.addresses import caller_address
from opentill.web.body import CallerGone, read_whole
from opentill.web.dependencies import Dependencies
from opentill.web.exchange import Answer, Call, Header, printable
from opentill.web.routes import Routes

C = TypeVar("C", bound=Call)

REQUEST_ID_MAX: Final = 128  # characters
PACKED_FROM_BYTES: Final = 1_400  # less fits into one packet as it is
GZIP_LEVEL: Final = 5
GZIP: Final = re.compile(rb"(?:^|[,\s])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
OVERLOADED: Final = "The service cannot do this now. Try again in a moment."

log = structlog.get_logger("opentill.requests")


class Edge(ABC, Generic[C]):
    """An API as an ASGI application."""

    surface: ClassVar[str]

    def __init__(self, dependencies: Dependencies, routes: Routes[C]) -> None:
        self.dependencies = dependencies
        self.routes = routes
        self._proxies = dependencies.settings.proxies
        self._background: set[asyncio.Task[None]] = set()

    @abstractmethod
    def called(self, scope: Scope) -> C:
        """Return the call of a request."""

    @abstractmethod
    async def answer(self, call: C, receive: Receive) -> Answer:
        """Make the checks in the order of the document, then the operation. What stops a call is raised."""

    @abstractmethod
    def refused(self, call: C, refusal: Refused) -> Answer:
        """Return the answer to a call that was refused."""

    @abstractmethod
    def failed(self, call: C) -> Answer:
        """Return the answer to a call that met a bug: a 500 that says nothing but its request id."""

    @abstractmethod
    def headers(self, call: C) -> list[Header]:
        """Return the headers of every answer to this call."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{self.surface} speaks http only, not {scope['type']}")
        started = time.perf_counter()
        call = self.called(scope)
        call.request_id = self._request_id(call)
        call.address = self._address(scope)
        try:
            answer = await self._answered(call, receive)
        except CallerGone:
            return
        await _send(send, _packed(call, answer), self.headers(call), bodiless=scope["method"] == "HEAD")
        self._note(call, answer, time.perf_counter() - started)

    async def _answered(self, call: C, receive: Receive) -> Answer:
        try:
            return await self.answer(call, receive)
        except Refused as refusal:
            call.code = refusal.code
            return self.refused(call, refusal)
        except Unavailable as away:
            log.warning("database away", request_id=call.request_id, error=str(away))
            call.code = "SERVICE_UNAVAILABLE"
            return self.refused(call, Busy("SERVICE_UNAVAILABLE", OVERLOADED, retry_after_s=away.retry_after_s))
        except CallerGone:
            raise
        except Exception:  # whatever it is, it is our bug: the caller learns its request id, the log the rest
            log.exception(
                "unexpected error", request_id=call.request_id, surface=self.surface, operation=call.operation
            )
            call.code = "INTERNAL_ERROR"
            return self.failed(call)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the caller need not wait for, and whose failure only the log hears of."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)

    async def settled(self) -> None:
        """Return when everything in the background is done."""
        await asyncio.gather(*self._background, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("background work failed", surface=self.surface, error=repr(task.exception()))

    def _request_id(self, call: C) -> str:
        own = call.headers.get(b"x-request-id")
        if own is not None:
            text = own.decode("latin-1")
            if printable(text, characters_max=REQUEST_ID_MAX):
                return text
        return self.dependencies.ids.hex(32)

    def _address(self, scope: Scope) -> str:
        peer = scope["client"][0] if scope.get("client") else None
        if not self._proxies:
            return caller_address(peer, (), ())
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return caller_address(peer, forwarded, self._proxies)

    def _note(self, call: C, answer: Answer, seconds: float) -> None:
        operation = call.operation or "none"
        metrics.observe(self.surface, call.method, operation, answer.status, seconds)
        self.dependencies.request_log.note(call, self.surface, status=answer.status, seconds=seconds)
        log.info(
            "request",
            request_id=call.request_id,
            surface=self.surface,
            method=call.method,
            operation=operation,
            status=answer.status,
            ms=round(seconds * 1000, 2),
            caller=call.caller_name,
            idempotency_key=call.idempotency_key,
            replayed=call.replayed,
        )


async def read_body(call: Call, receive: Receive, *, bytes_max: int) -> bytes | None:
    """Return the whole body, or None if it has more than *bytes_max* bytes. Raises CallerGone."""
    declared = call.headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:15]) > bytes_max:
        return None
    return await read_whole(receive, bytes_max=bytes_max)


def _packed(call: Call, answer: Answer) -> Answer:
    """Return the answer compressed, where the request allows that and it saves a packet."""
    if len(answer.body) < PACKED_FROM_BYTES or not GZIP.search(call.headers.get(b"accept-encoding", b"")):
        return answer
    packed = gzip.compress(answer.body, compresslevel=GZIP_LEVEL, mtime=0)
    return answer._replace(body=packed, headers=(*answer.headers, (b"content-encoding", b"gzip")))


async def _send(send: Send, answer: Answer, headers: list[Header], *, bodiless: bool) -> None:
    if answer.status != 204:
        headers.append((b"content-type", answer.media_type))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    headers.extend(answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else answer.body})
