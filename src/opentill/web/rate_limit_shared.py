"""Rate limits counted in Redis, so that all processes of an installation share them.

Only counters live there: no money, no key, nothing that is missed. Where Redis does not answer, nobody waits for it
longer than ANSWER_S, and for PAUSE after that nobody asks: requests of the merchant API pass (merchant-api.md §4),
all others are counted by each process (bars.md R9).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from opentill.kernel.clock import SECOND, Instant
from opentill.web import metrics
from opentill.web.rate_limit import WINDOW_S, Counters, Standing, Windows, full, standing, window_of

ANSWER_S: Final = 0.25
PAUSE: Final = 5 * SECOND
CONNECTIONS_MAX: Final = 64
KEPT_S: Final = 2 * WINDOW_S  # a counter outlives its minute, so that clocks of hosts may differ
PREFIX: Final = "opentill:rate"

# Ask and count in one step: a refused request leaves the count alone.
TAKE: Final = """
local taken = tonumber(redis.call('get', KEYS[1]) or '0')
if taken >= tonumber(ARGV[1]) then return {taken, 1} end
taken = redis.call('incr', KEYS[1])
if taken == 1 then redis.call('expire', KEYS[1], ARGV[2]) end
return {taken, 0}
"""

log = structlog.get_logger("opentill.limits")


class SharedLimits:
    """One connection pool to one Redis."""

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=ANSWER_S,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 1),  # a kept connection may be one that a restart has closed
        )
        self._redis = Redis(connection_pool=pool)
        self._execute: Callable[..., Awaitable[Any]] = self._redis.execute_command
        self._asked_again_at = 0

    def counters(self, name: str, *, open_at_failure: bool) -> Counters:
        return SharedWindows(self, name, None if open_at_failure else Windows())

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def ask(self, command: str, *words: object, now: Instant) -> Any:
        """Return Redis's answer. Raises StoreAway where there is none, or where it was away a moment ago."""
        if now < self._asked_again_at:
            raise StoreAway
        try:
            answer = await self._execute(command, *words)
        except (RedisError, OSError, TimeoutError) as fault:
            if self._asked_again_at <= now:
                log.error("rate limit store away", error=repr(fault))  # noqa: TRY400 - its text says enough
            metrics.limit_store(up=False)
            self._asked_again_at = now + PAUSE
            raise StoreAway from fault
        metrics.limit_store(up=True)
        return answer


class StoreAway(Exception):  # noqa: N818 - says what happened
    """The counters cannot be reached."""


class SharedWindows:
    """Counters of one kind of request."""

    def __init__(self, store: SharedLimits, name: str, otherwise: Windows | None) -> None:
        self._store = store
        self._name = name
        self._otherwise = otherwise

    async def take(self, bucket: str, limit: int, now: Instant) -> Standing:
        try:
            taken, refused = await self._store.ask("EVAL", TAKE, 1, self._key(bucket, now), limit, KEPT_S, now=now)
        except StoreAway:
            return await self._otherwise.take(bucket, limit, now) if self._otherwise else full(limit, now)
        return standing(limit, taken, now, refused=bool(refused))

    async def look(self, bucket: str, limit: int, now: Instant) -> Standing:
        try:
            taken = int(await self._store.ask("GET", self._key(bucket, now), now=now) or 0)
        except StoreAway:
            return await self._otherwise.look(bucket, limit, now) if self._otherwise else full(limit, now)
        return standing(limit, taken, now, refused=taken >= limit)

    def _key(self, bucket: str, now: Instant) -> str:
        return f"{PREFIX}:{self._name}:{window_of(now)}:{bucket}"
