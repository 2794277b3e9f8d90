"""An HTTP receiver with every fault a stranger's server can have (webhooks.md §16.1).

Real sockets on loopback, in the test's own event loop. It records every request with its exact bytes:

    async with Receiver() as receiver:
        receiver.script("/hook", "status:500", "retry_after:120", "ok")   # in turn; the last one stays
        ...
        assert receiver.requests[0].body == b"{}"

Modes: `ok`, `status:<n>`, `body:<text>`, `slow:<seconds>`, `retry_after:<n or date>`, `redirect:<url>`, `hang`,
`hang_accept` (the whole receiver, see `Receiver`), `hang_after_headers`, `drip:<bytes a second>`, `endless_body`,
`big_body:<n>`, `chunked:<text>`, `gzip_bomb`, `endless_headers`, `many_headers:<n>`, `long_header:<n>`, `flood_1xx`,
`interim`, `reset`, `reset_after_headers`, `reset_mid_body`, `half_close`, `http10`, `not_http`, `empty_answer`,
`bad_length`, `bad_chunk`, `switch`, `unasked:<text>` (after an answer), `behind:<text>` (in one piece with the end of
a body), `early:<n>` (before the body is read), `raw:<text>`, `close:<mode>` (answer, then close), `flaky:<p>`.
A `Reply` says the same in full.
"""

import asyncio
import gzip
import random
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

REASONS: Final = {200: "OK", 204: "No Content", 302: "Found", 410: "Gone", 429: "Too Many Requests", 500: "Oops"}
ENDLESS_PIECE: Final = b"x" * 16_384


@dataclass(frozen=True, slots=True)
class Received:
    """One request, byte for byte."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    head: bytes
    at: float  # seconds, of a clock that only counts
    connection: int  # the how manieth connection it came on, from 1

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """A plain answer, said in full."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b"ok"
    delay_s: float = 0.0


Answer = str | Reply


@dataclass(slots=True)
class Line:
    """One open connection, from the receiver's side."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_open: bool = field(default=True)

    async def send(self, data: bytes) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError("the client is gone")
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # draining an empty buffer does not let anybody else run

    async def until_closed(self) -> None:
        """Say nothing more until the client gives up."""
        await self.reader.read()
        self.is_open = False

    def finish(self) -> None:
        """Close politely, with what was written."""
        self.is_open = False

    def reset(self) -> None:
        """Break the connection with a RST."""
        self.is_open = False
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class Receiver:
    """A server on loopback. Paths without a script answer `ok`; `script("*", …)` changes that."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        hang_accept: bool = False,
        check: Callable[[Received], None] | None = None,
        seed: int = 7,
        port: int = 0,
    ) -> None:
        """Set up. *name* is what URLs call the host; *check* is called with each request, to verify it."""
        self._host = host
        self._tls = tls
        self._name = name or (f"[{host}]" if ":" in host else host)
        self._hang_accept = hang_accept
        self._check = check
        self._random = random.Random(seed)
        self._scripts: dict[str, list[Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()
        self.requests: list[Received] = []
        self.connections = 0
        self.open_connections = 0
        self.failed_checks: list[str] = []
        self.port = port

    async def __aenter__(self) -> Self:
        # Without TLS in the server itself, a receiver that hangs at accepting never shakes hands.
        tls = None if self._hang_accept else self._tls
        self._server = await asyncio.start_server(self._accepted, self._host, self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*list(self._tasks), return_exceptions=True)
        await self._server.wait_closed()

    def url(self, path: str = "/") -> str:
        """Return the URL of a path of this receiver."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self._name}:{self.port}{path}"

    def script(self, path: str, *answers: Answer) -> None:
        """Answer requests to *path* with these in turn; the last one stays."""
        self._scripts[path] = list(answers)

    async def wait_for(self, count: int, *, within_s: float = 5.0) -> list[Received]:
        """Return the requests once there are *count* of them."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def wait_until_idle(self, *, within_s: float = 5.0) -> None:
        """Return once no connection is open."""
        async with asyncio.timeout(within_s):
            while self.open_connections:  # noqa: ASYNC110 - connections end where nobody can wait
                await asyncio.sleep(0.01)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            await self._converse(Line(self.connections, reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone
        except asyncio.CancelledError:
            pass  # the receiver is closing, and streams log a cancelled handler as an error
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, line: Line) -> None:
        if self._hang_accept:
            await line.until_closed()
        while line.is_open:
            request = await self._read(line)
            if request is None:
                return
            await self._record(request)
            await self._answer(line, self._next(request.path))

    async def _read(self, line: Line) -> Received | None:
        """Return the next request, or None when the client has closed. `early` answers do not wait for its body."""
        try:
            head = await line.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = tuple((name, value) for name, _, value in (text.partition(": ") for text in lines))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        is_early = str(self._script_of(target.partition("?")[0])[0]).startswith("early")
        body = b"" if is_early else await line.reader.readexactly(length)
        return Received(method, target, headers, body, head, time.monotonic(), line.number)

    async def _record(self, request: Received) -> None:
        if self._check is not None:
            try:
                self._check(request)
            except AssertionError as failed:
                self.failed_checks.append(str(failed))
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def _script_of(self, path: str) -> list[Answer]:
        return self._scripts.get(path) or self._scripts.get("*") or ["ok"]

    def _next(self, path: str) -> Answer:
        script = self._script_of(path)
        return script.pop(0) if len(script) > 1 else script[0]

    def _drawn(self, odds: str) -> str:
        """Return one of `mode=probability` pairs by chance, `ok` where none comes up: `status:500=0.3 hang=0.1`."""
        left = self._random.random()
        for pair in odds.split(" "):
            mode, _, probability = pair.rpartition("=")
            left -= float(probability)
            if left < 0:
                return mode
        return "ok"

    async def _answer(self, line: Line, answer: Answer) -> None:
        if isinstance(answer, Reply):
            await asyncio.sleep(answer.delay_s)
            await line.send(plain(answer))
            return
        mode, _, argument = answer.partition(":")
        if mode == "flaky":
            await self._answer(line, "reset" if self._random.random() < float(argument) else "ok")
        elif mode == "mixed":
            await self._answer(line, self._drawn(argument))
        elif mode == "close":
            await self._answer(line, argument)
            line.finish()
        else:
            await MODES[mode](line, argument)


def plain(reply: Reply) -> bytes:
    """Return the bytes of an answer."""
    lines = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Answer')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if reply.status != 204:
        lines.append(f"Content-Length: {len(reply.body)}")
    body = b"" if reply.status == 204 else reply.body
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


Mode = Callable[[Line, str], Awaitable[None]]
MODES: dict[str, Mode] = {}


def mode(function: Mode) -> Mode:
    """Enter a function into the list of modes under its name."""
    MODES[getattr(function, "__name__", "").lstrip("_")] = function
    return function


@mode
async def _ok(line: Line, _: str) -> None:
    await line.send(plain(Reply()))


@mode
async def _status(line: Line, code: str) -> None:
    await line.send(plain(Reply(int(code), body=b"")))


@mode
async def _body(line: Line, text: str) -> None:
    await line.send(plain(Reply(body=text.encode())))


@mode
async def _slow(line: Line, seconds: str) -> None:
    await asyncio.sleep(float(seconds))
    await line.send(plain(Reply()))


@mode
async def _retry_after(line: Line, when: str) -> None:
    await line.send(plain(Reply(429, [("Retry-After", when)], b"later")))


@mode
async def _redirect(line: Line, url: str) -> None:
    await line.send(plain(Reply(302, [("Location", url), ("Refresh", f"0; url={url}")], b"")))


@mode
async def _hang(line: Line, _: str) -> None:
    await line.until_closed()


@mode
async def _hang_after_headers(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    await line.until_closed()


@mode
async def _drip(line: Line, bytes_a_second: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await line.send(b".")
        await asyncio.sleep(1 / float(bytes_a_second))


@mode
async def _endless_body(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await line.send(ENDLESS_PIECE)


@mode
async def _big_body(line: Line, size: str) -> None:
    await line.send(plain(Reply(body=b"b" * int(size))))


@mode
async def _chunked(line: Line, text: str) -> None:
    body = text.encode()
    await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await line.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


@mode
async def _gzip_bomb(line: Line, _: str) -> None:
    await line.send(plain(Reply(headers=[("Content-Encoding", "gzip")], body=gzip.compress(b"0" * 20_000_000))))


@mode
async def _endless_headers(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await line.send(b"X-More: of the same\r\n" * 20)


@mode
async def _many_headers(line: Line, count: str) -> None:
    await line.send(plain(Reply(headers=[(f"X-{number}", "1") for number in range(int(count))])))


@mode
async def _long_header(line: Line, size: str) -> None:
    await line.send(plain(Reply(headers=[("X-Long", "l" * int(size))])))


@mode
async def _flood_1xx(line: Line, _: str) -> None:
    while True:
        await line.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500)


@mode
async def _interim(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + plain(Reply()))


@mode
async def _reset(line: Line, _: str) -> None:
    line.reset()


@mode
async def _reset_after_headers(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    await asyncio.sleep(0.05)
    line.reset()


@mode
async def _reset_mid_body(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await asyncio.sleep(0.05)
    line.reset()


@mode
async def _half_close(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    if line.writer.can_write_eof():
        line.writer.write_eof()
    await line.reader.read()
    line.finish()


@mode
async def _http10(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.0 200 OK\r\n\r\nok")
    line.finish()


@mode
async def _not_http(line: Line, _: str) -> None:
    await line.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await line.until_closed()


@mode
async def _empty_answer(line: Line, _: str) -> None:
    line.finish()


@mode
async def _bad_length(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more than was announced")


@mode
async def _bad_chunk(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n")


@mode
async def _switch(line: Line, _: str) -> None:
    await line.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
    await line.until_closed()


@mode
async def _unasked(line: Line, text: str) -> None:
    await line.send(plain(Reply()))
    await asyncio.sleep(0.05)
    await line.send(text.encode("latin-1"))


@mode
async def _behind(line: Line, text: str) -> None:
    head, blank, body = plain(Reply(body=b"first")).partition(b"\r\n\r\n")
    await line.send(head + blank)
    await asyncio.sleep(0.05)
    await line.send(body + text.encode("latin-1"))


@mode
async def _early(line: Line, code: str) -> None:
    await line.send(plain(Reply(int(code), body=b"")))
    await asyncio.sleep(0.1)
    line.finish()


@mode
async def _raw(line: Line, text: str) -> None:
    await line.send(text.encode("latin-1"))
