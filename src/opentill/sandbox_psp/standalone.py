"""The bank as a server of its own: with the network to send by, and its agenda for as long as it runs."""

import asyncio

from opentill.kernel.asgi import Receive, Scope, Send
from opentill.outbound import AllowList, Outbound, TlsProfile
from opentill.pix.providers.http import OverHttp
from opentill.sandbox_psp.app import SandboxBank
from opentill.sandbox_psp.sending import over


class Standalone:
    """An ASGI application for a server. Its notifications may go to loopback, where a developer's OpenTill is."""

    def __init__(self, bank: SandboxBank, *, tls: TlsProfile | None = None) -> None:
        self._bank = bank
        self._tls = tls  # the certificate it presents where it notifies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._bank(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Carry out the agenda between the server's start and its end."""
        await receive()
        stop = asyncio.Event()
        async with Outbound(allow=AllowList.development()) as client:
            sender = over(OverHttp(client, plain_http=True, tls=self._tls))
            running = asyncio.create_task(self._bank.run(sender, stop))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            stop.set()
            await running
        await send({"type": "lifespan.shutdown.complete"})
