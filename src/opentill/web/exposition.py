"""`/metrics`: what this process counted, and what the database says, for Prometheus.

Nobody reads it unless the operator set a token (`OPENTILL_METRICS_TOKEN`); to everybody else it does not exist.
Where several processes of a host share PROMETHEUS_MULTIPROC_DIR, any of them tells of all.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from opentill.db import DatabaseError, ReadTx
from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import Busy
from opentill.kernel.secret import same
from opentill.web.dependencies import Dependencies
from opentill.webhooks import watch
from opentill.webhooks.metrics import PREFIX
from opentill.webhooks.queries.standing import Standing, standing
from opentill.webhooks.watch import Seen

KEPT: Final = 5 * SECOND  # several scrapers share a look at the database
MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"

Look = tuple[Standing, Seen | None]


class Exposition:
    """`/metrics` as an ASGI application."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._token = dependencies.settings.metrics_token
        self._looked_at: Instant | None = None
        self._look: Look | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._admits(scope):
            await _answer(send, 404, b"Not found\n", "text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"", "text/plain")
        else:
            body = await self.text()
            await _answer(send, 200, b"" if scope["method"] == "HEAD" else body, CONTENT_TYPE_LATEST)

    async def text(self) -> bytes:
        """Return everything in the form Prometheus reads. Without the database, what this process counted."""
        look = await self._looked()
        counted = generate_latest(_counted())
        return counted if look is None else counted + generate_latest(_registry(_Families(*look)))

    def _admits(self, scope: Scope) -> bool:
        if not self._token:
            return False
        sent = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        return same(sent, f"Bearer {self._token}")

    async def _looked(self) -> Look | None:
        """Look at the database, at most once in a few seconds."""
        async with self._one_at_a_time:
            now = self._dependencies.clock.now()
            if self._looked_at is None or not 0 <= now - self._looked_at < KEPT:
                try:
                    self._look = await self._dependencies.db.read(lambda tx: _both(tx, now))
                except (DatabaseError, Busy):
                    return None
                self._looked_at = now
            return self._look


class _Families(Collector):
    """What the database says, as gauges."""

    def __init__(self, standing: Standing, seen: Seen | None) -> None:
        self._standing = standing
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        now = self._standing
        yield _gauge("events_unplanned", "Recorded events that wait to be planned.", [((), now.unplanned)])
        yield _gauge("events_plan_failed", "Events that could not be planned.", [((), now.plan_failed)])
        due = [((klass.name.lower(),), us / SECOND) for klass, us in now.oldest_due.items()]
        yield _gauge("oldest_due_seconds", "Age of the oldest due delivery that could go out.", due, "klass")
        blocked = [((), now.oldest_blocked / SECOND)]
        yield _gauge("oldest_blocked_seconds", "Age of the oldest delivery behind an open breaker.", blocked)
        lanes = [((breaker.name.lower(),), n) for breaker, n in now.lanes.items()]
        yield _gauge("lanes", "Lanes by the state of their breaker.", lanes, "breaker")
        endpoints = [((state.name.lower(),), n) for state, n in now.endpoints.items()]
        yield _gauge("endpoints", "Endpoints by state.", endpoints, "state")
        yield from self._watched()

    def _watched(self) -> Iterator[Metric]:
        """Tell what the watch found within the last minute."""
        if self._seen is None:
            return
        counts = [((s.name.lower(), k.name.lower()), n) for (s, k), n in self._seen.deliveries.items()]
        yield _gauge("deliveries", "Deliveries that are not over, or ended badly.", counts, "state", "klass")
        orphans = [((kind,), n) for kind, n in asdict(self._seen.orphans).items()]
        yield _gauge("orphans", "Work nobody looks after; every figure must be 0.", orphans, "kind")


def _gauge(name: str, help_: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}{name}", help_, labels=labels)
    for named, value in values:
        family.add_metric(named, value)
    return family


def _counted() -> CollectorRegistry:
    """Return what this process counted, or all processes of this host that share a folder."""
    if MULTIPROCESS not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _registry(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _both(tx: ReadTx, now: Instant) -> Look:
    return standing(tx, now=now), watch.last(tx)


async def _answer(send: Send, status: int, body: bytes, media_type: str) -> None:
    headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
