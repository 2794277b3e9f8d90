"""What the engine needs from outside: somebody who makes HTTP requests and tells what became of them."""

from typing import Protocol

from opentill.outbound.model import Answer, OutboundRequest


class Sender(Protocol):
    """Sends one request through the address guard. Never raises for what the network does."""

    async def send(self, request: OutboundRequest) -> Answer: ...
