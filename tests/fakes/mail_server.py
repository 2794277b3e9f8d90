"""An SMTP server on loopback that keeps what it took and misbehaves as it is told.

It speaks the protocol itself (RFC 5321, STARTTLS of RFC 3207, AUTH PLAIN of RFC 4954), so that it can stop
anywhere: a script names for each connection what happens at a step, the last one for all that follow.

    server.script({"to": "450"}, {"letter": "lost"}, {})

Steps are `connect`, `hello`, `from`, `to`, `data` and `letter`. What happens is a code to answer with; `close`, the
connection ends there; `hang`, nothing is answered; for a letter also `lost`, it is kept and the connection ends, and
`cut`, it is thrown away and the connection ends.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self


@dataclass(slots=True)
class Taken:
    """One letter the server took: its envelope, its bytes, and whether the line was encrypted."""

    sender: str
    to: list[str]
    raw: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message

    @property
    def text(self) -> str:
        return self.message.get_content()


class _Over(Exception):  # noqa: N818
    pass


@dataclass(slots=True)
class MailServer:
    """`async with MailServer() as server:` listens on `server.port`."""

    tls: ssl.SSLContext | None = None  # what encrypts: from the start with *implicit*, else after STARTTLS
    implicit: bool = False
    users: Mapping[str, str] = field(default_factory=dict)  # passwords; empty: nobody signs in
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    lines: list[str] = field(default_factory=list)  # every command, of all connections
    port: int = 0
    _scripts: list[Mapping[str, str]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_away()

    async def listen(self) -> None:
        """Begin to listen, after going away at the same port again."""
        self._server = await asyncio.start_server(
            self._accepted, "127.0.0.1", self.port, ssl=self.tls if self.implicit else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_away(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*list(self._tasks), return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def script(self, *connections: Mapping[str, str]) -> None:
        """Say what happens on the coming connections."""
        self._scripts = list(connections)

    def to(self, address: str) -> list[Taken]:
        """Return the letters one address got."""
        return [taken for taken in self.taken if address in taken.to]

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0] if self._scripts else {}
        try:
            await _Talk(self, reader, writer, script).run()
        except (_Over, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()


class _Talk:
    """One connection."""

    def __init__(
        self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Mapping[str, str]
    ) -> None:
        self._server, self._reader, self._writer, self._script = server, reader, writer, script
        self._encrypted, self._user = server.implicit, ""
        self._sender, self._to = "", list[str]()

    async def run(self) -> None:
        await self._meet("connect", "220 fake ESMTP")
        while True:
            line = (await self._reader.readuntil(b"\r\n"))[:-2].decode("ascii")
            self._server.lines.append(line)
            await self._obey(*line.partition(" ")[::2])

    async def _obey(self, verb: str, rest: str) -> None:
        match verb.upper():
            case "EHLO" | "HELO":
                await self._meet("hello", "\r\n".join(self._offers()))
            case "STARTTLS":
                assert self._server.tls is not None
                await self._say("220 go on")
                await self._writer.start_tls(self._server.tls)
                self._encrypted = True
            case "AUTH":
                await self._sign_in(*rest.split(" ", 1))
            case "MAIL":
                self._sender, self._to = _address(rest), []
                await self._meet("from", "250 ok")
            case "RCPT":
                if await self._meet("to", "250 ok"):
                    self._to.append(_address(rest))
            case "DATA":
                if await self._meet("data", "354 go on"):
                    await self._take()
            case "RSET" | "NOOP":
                await self._say("250 ok")
            case "QUIT":
                await self._say("221 bye")
                raise _Over
            case _:
                await self._say("500 what?")

    def _offers(self) -> list[str]:
        offers = ["fake", "8BITMIME", "SIZE 1000000"]
        if self._server.tls is not None and not self._encrypted:
            offers.append("STARTTLS")
        if self._server.users:
            offers.append("AUTH PLAIN")
        return [f"250{' ' if offer is offers[-1] else '-'}{offer}" for offer in offers]

    async def _sign_in(self, method: str, first: str = "") -> None:
        assert method == "PLAIN", method
        _, user, password = base64.b64decode(first).decode().split("\0")
        right = self._server.users.get(user) == password
        self._user = user if right else ""
        await self._say("235 welcome" if right else "535 no")

    async def _take(self) -> None:
        """Read a letter up to its lone dot, and keep it."""
        happens = self._script.get("letter", "")
        lines = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        assert self._to, "a letter to nobody"
        if happens in ("", "lost"):
            letter = Taken(self._sender, list(self._to), b"".join(lines), self._encrypted, self._user)
            self._server.taken.append(letter)
        if happens in ("lost", "cut"):
            self._writer.transport.abort()
            raise _Over
        await self._meet("letter", "250 taken")

    async def _meet(self, step: str, usual: str) -> bool:
        """Answer at a step as the script says; tell whether it was the usual."""
        match self._script.get(step):
            case None | "lost" | "cut":
                await self._say(usual)
                return True
            case "close":
                self._writer.transport.abort()
                raise _Over
            case "hang":
                await asyncio.sleep(3600)
                return False
            case code:
                await self._say(f"{code} as told, about <{','.join(self._to) or 'nobody'}>")
                return False

    async def _say(self, text: str) -> None:
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()


def _address(rest: str) -> str:
    return rest[rest.index("<") + 1 : rest.index(">")]
