"""An HTTP proxy on loopback that opens tunnels and writes down what it was asked."""

import asyncio
from contextlib import suppress
from typing import Self


class TunnelProxy:
    """Answers CONNECT. `answer` may be another head than 200, sent instead of opening the tunnel."""

    def __init__(self, *, answer: str | None = None) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*list(self._tasks), return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Return the proxy in the form of the setting."""
        return f"http://127.0.0.1:{self.port}"

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one of the two ends is gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self._answer is not None:
            writer.write(self._answer.encode())
            await writer.drain()
            return

        host, _, port = head.split()[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            back.close()
            with suppress(OSError, asyncio.CancelledError):
                await back.wait_closed()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
