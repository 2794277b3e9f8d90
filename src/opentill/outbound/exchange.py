"""One request and its answer on a pool of connections, with every limit of webhooks.md §8.2."""

import asyncio
import errno
import ssl
from time import perf_counter
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientResponseError, ClientSession
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from opentill.kernel.clock import SECOND
from opentill.kernel.failpoints import reach
from opentill.outbound.connections import USE, Use
from opentill.outbound.dial import Dial, Stopped
from opentill.outbound.model import READ_BYTES_MAX, Answer, OutboundRequest, Phases
from opentill.outbound.outcomes import Outcome, outcome_of
from opentill.outbound.refusals import Refusal
from opentill.outbound.urls import Target

HEADERS_KEPT_BYTES_MAX: Final = 16 * 1024
RETRY_AFTER_CHARACTERS_MAX: Final = 64
DEFAULT_HEADERS: Final = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "OpenTill/1"))
# What frames a message is the client's alone: a second length or host would let two readers disagree.
FRAMING_HEADERS: Final = (
    "Host",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "Keep-Alive",
)

_NETWORK_ERRORS: Final = (ClientError, HttpProcessingError, OSError)


def outgoing_headers(request: OutboundRequest) -> CIMultiDict[str]:
    """Return the headers to send. Raises `ValueError` for those that frame the message."""
    headers = CIMultiDict(request.headers)
    for name in FRAMING_HEADERS:
        if name in headers:
            raise ValueError(f"the header {name} is not the caller's to set")
    for name, value in DEFAULT_HEADERS:
        if name not in headers:
            headers[name] = value
    return headers


class Exchange:
    """One request under way, and what is known of its answer so far."""

    def __init__(self, request: OutboundRequest, target: Target) -> None:
        self._request = request
        self._target = target
        self._headers = outgoing_headers(request)
        self._began = perf_counter()
        self._deadline = asyncio.get_running_loop().time() + request.timeout_s
        self._use = Use(Dial(target, request.owner))
        self._response: ClientResponse | None = None
        self._kept = bytearray()
        self._body_bytes = 0
        self._is_whole = False

    async def run(self, kept: ClientSession, fresh: ClientSession) -> Answer:
        """Send the request and return what became of it. Never raises for what the network does.

        *kept* reuses connections; *fresh* dials anew, for a request that met a dead one and may be repeated.
        """
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                try:
                    await self._send(kept, limit)
                except _NETWORK_ERRORS:
                    if not self._met_a_dead_connection():
                        raise
                    self._use = Use(Dial(self._target, self._request.owner))
                    await self._send(fresh, limit)
        except Stopped as stop:
            return self._answer(stop.outcome, stop.text, stop.refusal)
        except TimeoutError:
            return self._answer(self._use.dial.phase, "No answer in time.")
        except _NETWORK_ERRORS as error:
            return self._answer(*_named(error))
        return self._answer(Outcome.PROTOCOL)

    def _met_a_dead_connection(self) -> bool:
        """Tell whether a kept connection broke without a byte of an answer, and trying again is allowed."""
        use = self._use
        return self._request.repeatable and use.reused and self._response is None and not use.first_byte

    async def _send(self, session: ClientSession, limit: asyncio.Timeout) -> None:
        request = self._request
        token = USE.set(self._use)
        try:
            self._response = response = await session.request(
                request.method,
                self._target.url,
                headers=self._headers,
                data=request.body,
                allow_redirects=False,
                skip_auto_headers=None if "Content-Type" in self._headers else ("Content-Type",),
            )
        finally:
            USE.reset(token)
        reach("answer.status")

        try:
            if not response.content.is_eof():
                body_deadline = asyncio.get_running_loop().time() + request.body_s
                limit.reschedule(min(body_deadline, self._deadline))
            await self._read(response.content)
        finally:
            if not self._is_whole:
                _abandon(response)

    async def _read(self, content: StreamReader) -> None:
        """Read the body as far as the limits go. Nothing is unpacked."""
        read_limit = min(self._request.read_limit, READ_BYTES_MAX)
        keep_limit = min(self._request.keep_limit, read_limit)
        while self._body_bytes < read_limit:
            piece = await content.readany()
            self._body_bytes += len(piece)
            self._kept += piece[: max(keep_limit - len(self._kept), 0)]
            if content.at_eof():
                break
        self._is_whole = content.at_eof()
        reach("answer.body")

    def _answer(self, outcome: Outcome, text: str | None = None, refusal: Refusal | None = None) -> Answer:
        """Return what is known. A final status line decides, whatever happened to the body after it."""
        use, response = self._use, self._response
        now = perf_counter()
        if response is None:
            return Answer(
                outcome=outcome,
                duration_us=_us(now - self._began),
                phases_us=self._phases(now),
                peer=use.peer or use.dial.peer,
                reused=use.reused and use.peer is not None,
                error_text=text,
                refusal=refusal,
            )

        is_shown = self._request.keep_private_answer or use.peer is None or not use.peer.is_private
        retry_after = response.headers.get("Retry-After")
        return Answer(
            outcome=outcome_of(response.status),
            duration_us=_us(now - self._began),
            phases_us=self._phases(now),
            status=response.status,
            headers=_headers(response.raw_headers) if is_shown else (),
            body_kept=bytes(self._kept) if is_shown else b"",
            body_bytes=self._body_bytes,
            cut=not self._is_whole or self._body_bytes > (len(self._kept) if is_shown else 0),
            peer=use.peer,
            reused=use.reused,
            error_text=None if self._is_whole else "The answer's body was not read to its end.",
            retry_after=retry_after and retry_after[:RETRY_AFTER_CHARACTERS_MAX],
        )

    def _phases(self, now: float) -> Phases:
        """Return how long each step took; the one that was running lasted until now."""
        use, dial = self._use, self._use.dial
        first = use.first_byte or now
        written = min(use.written or first, first)
        return Phases(
            dns=_us((dial.looked_up or now) - dial.began) if dial.began else 0,
            connect=_us((dial.connected or now) - dial.looked_up) if dial.looked_up else 0,
            tls=_us((dial.secured or now) - dial.connected) if dial.phase is Outcome.TIMEOUT_TLS or dial.secured else 0,
            send=_us(written - use.acquired) if use.acquired else 0,
            first_byte=_us(first - written) if use.acquired else 0,
            body=_us(now - first) if use.first_byte else 0,
        )


def _us(seconds: float) -> int:
    return max(int(seconds * SECOND), 0)


def _abandon(response: ClientResponse) -> None:
    """Close the connection under an answer at once: nothing more is read, not even to be polite."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _headers(raw: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    """Return the headers as text, byte for character, as many as fit into 16 KiB."""
    kept: list[tuple[str, str]] = []
    room = HEADERS_KEPT_BYTES_MAX
    for name, value in raw:
        room -= len(name) + len(value)
        if room < 0:
            break
        kept.append((name.decode("latin-1"), value.decode("latin-1")))
    return tuple(kept)


def _named(error: Exception) -> tuple[Outcome, str]:
    """Return the outcome and the words for an error before the end of the head."""
    if isinstance(error, ClientResponseError | HttpProcessingError):
        return Outcome.PROTOCOL, "The answer is not HTTP, or its head is beyond the limits."
    if isinstance(error.__cause__, ssl.SSLError):
        return Outcome.TLS_FAILED, "The TLS connection failed."
    if isinstance(error, OSError) and error.errno == errno.ETIMEDOUT:
        return Outcome.TIMEOUT_ANSWER, "The connection went silent."
    return Outcome.RESET, "The connection was closed before an answer came."
