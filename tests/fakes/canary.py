"""A canary: a listener that nobody may ever contact."""

import asyncio
from typing import Self


class Canary:
    """Listens on one address and counts who comes."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.host = host
        self.port = port
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._contacted, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _contacted(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()
