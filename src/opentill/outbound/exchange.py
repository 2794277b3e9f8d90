"""One request and its answer on a pool of connections, with every limit of webhooks.md §8.2."""

import asyncio
import errno
import ssl
from functools import partial
from time import perf_counter
from typing import Final, cast

from aiohttp import ClientError
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from opentill.kernel.clock import SECOND
from opentill.kernel.failpoints import reach
from opentill.outbound.connections import GuardedConnector, Use, Wire
from opentill.outbound.dial import Dial, Stopped
from opentill.outbound.model import READ_BYTES_MAX, Answer, OutboundRequest, Phases
from opentill.outbound.outcomes import Outcome, outcome_of
from opentill.outbound.refusals import Refusal
from opentill.outbound.urls import Target

HEADERS_KEPT_BYTES_MAX: Final = 16 * 1024
RETRY_AFTER_CHARACTERS_MAX: Final = 64
DEFAULT_HEADERS: Final = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "OpenTill/1"))
# What frames a message is the client's alone: a second length or host would let two readers disagree.
FRAMING_HEADERS: Final = frozenset(
    ("host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive")
)
BODILESS_METHODS: Final = ("GET", "HEAD", "OPTIONS")  # without a body they have no length either

_NETWORK_ERRORS: Final = (ClientError, HttpProcessingError, OSError)


def head_of(request: OutboundRequest, target: Target) -> str:
    """Return the head to send without its last line. Raises `ValueError` for headers that frame the message or break
    the head."""
    given = {name.lower() for name, _ in request.headers}
    if not FRAMING_HEADERS.isdisjoint(given):
        raise ValueError(f"{', '.join(sorted(FRAMING_HEADERS & given))}: not the caller's to set")
    usual = [header for header in DEFAULT_HEADERS if header[0].lower() not in given]
    headers = [("Host", target.url.host_port_subcomponent), *request.headers, *usual]
    if request.body is not None or request.method not in BODILESS_METHODS:
        headers.append(("Content-Length", str(len(request.body or b""))))
    lines = [f"{request.method} {target.url.raw_path_qs} HTTP/1.1\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    head = "".join(lines)
    if "\0" in head or not head.count("\r") == head.count("\n") == len(lines):
        raise ValueError("a header holds the end of a line")
    return head


class Exchange:
    """One request under way, and what is known of its answer so far."""

    def __init__(self, request: OutboundRequest, target: Target) -> None:
        self._request = request
        self._target = target
        self._head_out = head_of(request, target)
        self._began = perf_counter()
        self._deadline = asyncio.get_running_loop().time() + request.timeout_s
        self._use = Use(Dial(target, request.owner))
        self._head: RawResponseMessage | None = None
        self._kept = bytearray()
        self._body_bytes = 0
        self._is_whole = False

    async def run(self, kept: GuardedConnector, fresh: GuardedConnector) -> Answer:
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
        return self._request.repeatable and use.reused and self._head is None and not use.first_byte

    async def _send(self, connector: GuardedConnector, limit: asyncio.Timeout) -> None:
        request = self._request
        head = self._head_out + ("Connection: close\r\n\r\n" if connector.force_close else "\r\n")
        connection = await connector.take(self._use)
        try:
            wire = cast("Wire", connection.protocol)  # nothing else is made
            wire.ask(self._use, head.encode() + (request.body or b""), is_head=request.method == "HEAD")
            self._head, body = await wire.head()
            body.on_eof(partial(_give_back, connection))
            reach("answer.status")
            if not body.is_eof():
                body_deadline = asyncio.get_running_loop().time() + request.body_s
                limit.reschedule(min(body_deadline, self._deadline))
            await self._read(body)
        finally:
            if not self._is_whole:
                _abandon(connection)

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
        use, head = self._use, self._head
        now = perf_counter()
        if head is None:
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
        retry_after = head.headers.get("Retry-After")
        return Answer(
            outcome=outcome_of(head.code),
            duration_us=_us(now - self._began),
            phases_us=self._phases(now),
            status=head.code,
            headers=_headers(head.raw_headers) if is_shown else (),
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


def _give_back(connection: Connection) -> None:
    """Let others use a connection, unless it would be answered before the rest of this request was taken."""
    if connection.transport is not None and connection.transport.get_write_buffer_size():
        _abandon(connection)
    else:
        connection.release()


def _abandon(connection: Connection) -> None:
    """Close a connection at once: nothing more is sent or read, not even to be polite."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


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
    if isinstance(error, HttpProcessingError):
        return Outcome.PROTOCOL, "The answer is not HTTP, or its head is beyond the limits."
    if isinstance(error.__cause__, ssl.SSLError):
        return Outcome.TLS_FAILED, "The TLS connection failed."
    if isinstance(error, OSError) and error.errno == errno.ETIMEDOUT:
        return Outcome.TIMEOUT_ANSWER, "The connection went silent."
    return Outcome.RESET, "The connection was closed before an answer came."
