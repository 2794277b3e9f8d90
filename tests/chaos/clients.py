"""A shop's own server, which asks again under the same key until it knows."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import aiohttp

from tests.chaos.servers import Process, Shop

TRY_S_MAX: Final = 10.0
PAUSE_S: Final = 0.1  # after a connection that broke
IN_PROGRESS: Final = 409
AGAIN: Final = frozenset({IN_PROGRESS, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Received:
    """One answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def replayed(self) -> bool:
        return "true" in (self.headers.get("Idempotent-Replayed"), self.headers.get("X-Idempotent-Replay"))

    @property
    def retry_after_s(self) -> float:
        return float(self.headers.get("Retry-After", PAUSE_S))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Order:
    """One thing a shop wants done once."""

    path: str
    fields: Mapping[str, Any]
    key: str

    @property
    def body(self) -> bytes:
        return json.dumps(self.fields).encode()

    def headers(self, shop: Shop) -> dict[str, str]:
        """Return what the surface of the path asks for."""
        common = {"Content-Type": "application/json", "Idempotency-Key": self.key}
        if self.path.startswith("/api/v1/"):
            return common | {"Authorization": f"Bearer {shop.merchant_api_key}"}
        signed = hmac.new(shop.client_secret.encode(), self.body, hashlib.sha512).hexdigest()
        return common | {"Authorization": f"ApiKey {shop.client_id}:{shop.client_secret}", "hmac": signed}


@dataclass
class Client:
    """Speaks to some web servers in turn."""

    shop: Shop
    webs: list[Process]
    connections_max: int = 0
    tries: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self.connections_max, keepalive_timeout=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(TRY_S_MAX))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, order: Order) -> Received:
        """Send once. Raises what a broken connection raises."""
        web = self.webs[self.tries % len(self.webs)]
        self.tries += 1
        request = self._session.post(web.url + order.path, data=order.body, headers=order.headers(self.shop))
        async with request as answer:
            return Received(answer.status, await answer.read(), answer.headers)

    async def insist(self, order: Order) -> Received:
        """Send until there is an answer that settles it."""
        while True:
            try:
                answer = await self.send(order)
            except (aiohttp.ClientError, TimeoutError, OSError) as broken:
                self._count(type(broken).__name__)
                await asyncio.sleep(PAUSE_S)
                continue
            if answer.status not in AGAIN:
                return answer
            self._count(str(answer.status))
            await asyncio.sleep(min(answer.retry_after_s, 1.0))

    def _count(self, error: str) -> None:
        self.errors[error] = self.errors.get(error, 0) + 1
