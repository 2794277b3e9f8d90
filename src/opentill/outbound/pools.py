"""A pool of connections under one guard and one TLS context, with nothing left to aiohttp's defaults."""

import asyncio
from typing import Final

import structlog

from opentill.outbound.connections import GuardedConnector
from opentill.outbound.dial import Dialler
from opentill.outbound.exchange import Exchange
from opentill.outbound.guard import Guard
from opentill.outbound.model import Answer, OutboundRequest, blocked
from opentill.outbound.refusals import Refusal
from opentill.outbound.urls import Target

log = structlog.get_logger("opentill.outbound")

VERDICTS_KEPT_MAX: Final = 4_096


class Pool:
    """Kept connections, and a way to dial without them."""

    def __init__(self, guard: Guard, dialler: Dialler) -> None:
        self._guard = guard
        self._verdicts: dict[tuple[str, bool], Target | Refusal] = {}
        self._kept = GuardedConnector(dialler, keep=True)
        self._fresh = GuardedConnector(dialler, keep=False)
        self._under_way = 0
        self._drained: asyncio.Event | None = None

    async def send(self, request: OutboundRequest) -> Answer:
        """Judge and send one request, and return what became of it. The operator's log says what was refused."""
        answer = await self._sent(request)
        if answer.refusal is not None:
            log.info("outbound.refused", why=answer.refusal.for_operator)
        return answer

    async def _sent(self, request: OutboundRequest) -> Answer:
        target = self._judged(request)
        if isinstance(target, Refusal):
            return blocked(target)

        exchange = Exchange(request, target)
        self._under_way += 1
        try:
            return await exchange.run(self._kept, self._fresh)
        finally:
            self._under_way -= 1
            if self._drained is not None and not self._under_way:
                self._drained.set()

    def _judged(self, request: OutboundRequest) -> Target | Refusal:
        """Judge the URL. The verdict on a text cannot change while the guard is the same."""
        key = (request.url, request.plain_http)
        verdict = self._verdicts.get(key)
        if verdict is None:
            if len(self._verdicts) >= VERDICTS_KEPT_MAX:
                self._verdicts.clear()
            verdict = self._guard.check_url(request.url, plain_http=request.plain_http)
            self._verdicts[key] = verdict
        return verdict

    async def drain(self) -> None:
        """Let what is under way finish, then close. Nothing may be sent any more."""
        if self._under_way:
            self._drained = asyncio.Event()
            await self._drained.wait()
        await self.close()

    async def close(self) -> None:
        """Close every connection, also under requests that are under way."""
        await self._kept.close()
        await self._fresh.close()
