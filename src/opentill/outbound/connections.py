"""aiohttp's connection pool, with our way of connecting and a protocol that takes notes.

aiohttp asks a connector for a connection; this one has no resolver to bypass, because there is no other way
to connect than `Dialler.connect`. Requests are written here, in one piece, and answers parsed by aiohttp: its session
would prepare for redirects, cookies, proxies and streams that are never sent, at as much time as the rest takes.
"""

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import BaseConnector, ClientConnectionResetError, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from opentill.kernel.failpoints import reach
from opentill.outbound.dial import Dial, Dialler
from opentill.outbound.model import Peer
from opentill.outbound.outcomes import Outcome

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

IDLE_S: Final = 15.0
LINE_BYTES_MAX: Final = 8_190
HEADERS_MAX: Final = 100
HEAD_BYTES_MAX: Final = 1024 * 1024  # all interim answers and the final head together
HEAD_END: Final = b"\r\n\r\n"
# The deadline is ours, so that it also covers what happens before and after aiohttp.
NO_TIMEOUT: Final = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class Use:
    """One request's use of a connection: which one it needs, as aiohttp's pool asks, and when what happened."""

    __slots__ = ("acquired", "connection_key", "dial", "first_byte", "peer", "reused", "written")

    proxy = None  # a tunnel is the dialler's

    def __init__(self, dial: Dial) -> None:
        target = dial.target
        self.dial = dial
        self.connection_key = ConnectionKey(target.host, target.port, target.scheme == "https", True, None, None, None)
        self.reused = True
        self.peer: Peer | None = None
        self.acquired = 0.0
        self.written = 0.0
        self.first_byte = 0.0


class Wire(ResponseHandler):
    """One connection. Remembers its peer, and keeps one request's answer out of the next one's."""

    peer: Peer
    use: Use | None = None
    _answer: StreamReader | None = None
    _head_bytes = 0

    def ask(self, use: Use, message: bytes, *, is_head: bool) -> None:
        """Send a request on this connection, fresh or kept; *is_head* if its answer has no body.

        Raises aiohttp's `ClientConnectionResetError` where the connection is closed already; then nothing was sent.
        """
        self.use = use
        self._head_bytes = 0
        self._answer = None
        use.peer = self.peer
        use.acquired = perf_counter()
        self.set_response_params(
            skip_payload=is_head,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )
        reach("send.headers_written")  # webhooks.md §16.2 names it so; head and body leave in one piece after it
        if self.transport is None or self.transport.is_closing():
            raise ClientConnectionResetError("The connection was closed before it was written to.")
        # Nobody waits for the socket to take it all: an answer may come before the body has been read.
        self.transport.write(message)
        use.written = perf_counter()
        reach("send.body_written")

    async def head(self) -> tuple[RawResponseMessage, StreamReader]:
        """Return the final head of the answer, and its body; interim answers are passed over."""
        while True:
            message, body = await self.read()
            if message.code >= 200 or message.code == 101:
                return message, body

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take one parsed head from the parser; the final one opens the body."""
        message, body = data
        if message.code >= 200 or message.code == 101:
            if self._answer is not None:  # behind the end of the body: nobody asked for it
                self.abort()
                return
            self._answer = body
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Take a parser's or socket's error, and let a reader of the body know at once."""
        cause = exc_cause or exc
        super().set_exception(exc, cause)
        if self._answer is not None and not self._answer.is_eof():
            self._answer.set_exception(exc, cause)

    def data_received(self, data: bytes) -> None:
        if not data:
            super().data_received(data)  # aiohttp's way of resuming its parser
        elif self._answer is None:
            self._head_received(data)
        elif self._answer.is_eof():
            # Nobody asked: a late "408", or an answer meant to be taken for the next request's.
            self.abort()
        else:
            super().data_received(data)

    def _head_received(self, data: bytes) -> None:
        use = self.use
        if use is None:  # it speaks before it was asked; aiohttp keeps that until the request is out
            super().data_received(data)
            return
        if not use.first_byte:
            use.first_byte = perf_counter()

        # The parser drops a good head when the body behind it in the same packet is broken, and the status
        # line decides the result: so the head goes in alone.
        start = 0
        while self._answer is None and self.exception() is None:
            end = data.find(HEAD_END, start) + len(HEAD_END)
            if end < len(HEAD_END):
                break
            super().data_received(data[start:end])
            start = end
        if start < len(data):
            super().data_received(data[start:] if start else data)
        self._bound_head(len(data))

    def _bound_head(self, size: int) -> None:
        self._head_bytes += size
        if self._answer is None and self._head_bytes > HEAD_BYTES_MAX and self.transport is not None:
            # A flood of interim answers: stop listening, and the attempt ends with its time.
            self.transport.pause_reading()


class GuardedConnector(BaseConnector):
    """A pool of judged connections. A kept one was judged when it was dialled."""

    def __init__(self, dialler: Dialler, *, keep: bool) -> None:
        # The number of connections is limited by whoever sends, not here.
        if keep:
            super().__init__(limit=0, keepalive_timeout=IDLE_S)
        else:
            super().__init__(limit=0, force_close=True)
        self._dialler = dialler

    async def take(self, use: Use) -> "Connection":
        """Return a kept or a new connection, whose protocol is a `Wire`. Raises `Stopped`."""
        connection = await self.connect(cast("ClientRequest", use), [], NO_TIMEOUT)  # of a request it asks no more
        use.dial.phase = Outcome.TIMEOUT_ANSWER
        return connection

    async def _create_connection(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: "ClientTimeout",  # noqa: ASYNC109 - aiohttp's own
    ) -> Wire:
        use = cast("Use", req)
        use.reused = False
        wire, peer = await self._dialler.connect(use.dial, partial(Wire, self._loop))
        wire.peer = peer
        return wire
