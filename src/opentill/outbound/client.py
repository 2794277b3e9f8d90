"""The one HTTP client of OpenTill: every call to somebody else's server goes through `Outbound.send`.

It never raises for what the network does: what happened is data (webhooks.md §8). It follows no redirect,
reads no proxy variable, keeps no cookie, unpacks no body, and dials only what the guard has judged.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Final, Self

from opentill.outbound.allow import NOTHING, USUAL_PORTS, AllowList, Ports
from opentill.outbound.dial import Dialler
from opentill.outbound.guard import Guard
from opentill.outbound.model import Answer, OutboundRequest
from opentill.outbound.names import Lookup, Names, NoSuchName, system_lookup
from opentill.outbound.pools import Pool
from opentill.outbound.refusals import Refusal
from opentill.outbound.tls import Contexts, TlsProfile
from opentill.outbound.tunnel import EgressProxy

POOLS_MAX: Final = 256
PLAIN: Final = TlsProfile()

PoolKey = tuple[TlsProfile, AllowList]


class Outbound:
    """The guarded client. Belongs to one event loop; close it, or use it as a context."""

    def __init__(
        self,
        *,
        allow: AllowList = NOTHING,
        ports: Ports = USUAL_PORTS,
        own: frozenset[tuple[str, int]] = frozenset(),
        nat64: bool = False,
        egress_proxy: EgressProxy | None = None,
        roots: str | None = None,
        lookup: Lookup = system_lookup,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up. *own* is host and port of our own public addresses, *roots* PEM instead of the system's.

        *monotonic* tells how old the answers of the resolver are.
        """
        self._guard = Guard(allow, ports, own, nat64)
        self._proxy = egress_proxy
        self._contexts = Contexts(roots)
        self._names = Names(lookup, monotonic=monotonic)
        self._pools: OrderedDict[PoolKey, Pool] = OrderedDict()
        self._retired: dict[Pool, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, request: OutboundRequest) -> Answer:
        """Make one call and return what became of it. Judges the URL, and at connecting every address.

        Raises `ValueError` only for what a caller may never do: a header that frames the message or breaks it.
        """
        return await self._pool(request).send(request)

    def check(self, url: str, *, plain_http: bool = False, allow: AllowList | None = None) -> Refusal | None:
        """Judge a URL as sending would before it looks anything up. For saving one."""
        target = self._guard_for(allow).check_url(url, plain_http=plain_http)
        return target if isinstance(target, Refusal) else None

    async def inspect(
        self, url: str, *, plain_http: bool = False, allow: AllowList | None = None, owner: Hashable = None
    ) -> Refusal | None:
        """Judge a URL and what its name resolves to now. Sends nothing; a name without an answer passes."""
        guard = self._guard_for(allow)
        target = guard.check_url(url, plain_http=plain_http)
        if isinstance(target, Refusal):
            return target
        try:
            addresses = (target.host,) if target.is_literal else await self._names.addresses(target.host, owner=owner)
        except (NoSuchName, TimeoutError):
            return None
        return guard.check_addresses(target, addresses) or guard.check_own(target, addresses)

    async def close(self) -> None:
        """Close everything. Calls under way end as broken connections."""
        for task in self._retired.values():
            task.cancel()
        for pool in [*self._pools.values(), *self._retired]:
            await pool.close()
        self._pools.clear()
        await self._names.close()

    def _guard_for(self, allow: AllowList | None) -> Guard:
        return self._guard if allow is None else replace(self._guard, allow=self._guard.allow | allow)

    def _pool(self, request: OutboundRequest) -> Pool:
        """Return the pool for a call.

        A connection that one merchant's entry opened must not serve another merchant, so calls with an
        allow list or a TLS profile of their own have a pool of their own.
        """
        profile, allow = key = (request.tls or PLAIN, request.allow or NOTHING)
        pool = self._pools.get(key)
        if pool is None:
            guard = self._guard_for(allow)
            dialler = Dialler(guard, self._names, self._contexts, profile, self._proxy)
            pool = self._pools[key] = Pool(guard, dialler)
            if len(self._pools) > POOLS_MAX:
                self._retire(self._pools.popitem(last=False)[1])
        self._pools.move_to_end(key)
        return pool

    def _retire(self, pool: Pool) -> None:
        self._retired[pool] = task = asyncio.create_task(pool.drain())
        task.add_done_callback(lambda _: self._retired.pop(pool, None))
