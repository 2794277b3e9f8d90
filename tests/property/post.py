"""The post of the market: plans what happened and sends it to receivers, each of which has its own fixed moods.

Every step is taken in one order, so that one seed is one sequence of requests.
"""

import zlib
from random import Random
from typing import Final

from opentill.db import Tx
from opentill.outbound.model import Answer, OutboundRequest
from opentill.outbound.outcomes import outcome_of
from opentill.webhooks import completion, partitions, planning, queries, queue, rules, sending, service
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import BOUNDS, Dialect, Options
from tests.property.market import Market

FREE: Final = 64  # attempts at once
ROUNDS_MAX: Final = 40  # of one delivery of everything that is due


class Receivers:
    """Everybody who is told. One try in six fails, always the same ones."""

    def __init__(self) -> None:
        self.requests: list[OutboundRequest] = []

    async def send(self, request: OutboundRequest) -> Answer:
        self.requests.append(request)
        headers = dict(request.headers)
        mood = zlib.crc32(f"{headers['webhook-id']} {headers['webhook-timestamp']}".encode()) % 6
        status = 503 if mood == 0 else 200
        return Answer(outcome=outcome_of(status), duration_us=1_000, status=status, body_kept=b"ok", body_bytes=2)


class Post:
    """The webhook engine in the hands of a test."""

    def __init__(self, market: Market, *, seed: int) -> None:
        self.receivers = Receivers()
        self._market = market
        self.engine = Engine(
            db=market.db,
            sender=self.receivers,
            keyring=market.scene.keyring,
            ids=market.scene.ids,
            clock=market.clock,
            worker="post",
            chance=Random(seed),
            trusts_database_clock=False,
        )

    async def open(self) -> None:
        """Register an endpoint of each API for each shop."""
        for shop in self._market.shops:
            for dialect in (Dialect.MERCHANT, Dialect.PIX):
                await self._market.db.write(lambda tx, s=shop, d=dialect: self._register(tx, s.merchant.owner, d))

    async def deliver(self) -> None:
        """Plan what was recorded and send what is due, until nothing is."""
        engine, db = self.engine, self._market.db
        await db.write(lambda tx: partitions.keep_ahead(tx, now=engine.clock.now()))
        while (
            planned := await db.write(
                lambda tx: planning.plan(tx, ids=engine.ids, keyring=engine.keyring, now=engine.clock.now())
            )
        ).seqs:
            assert not planned.faults
        for _ in range(ROUNDS_MAX):
            if not await self._round():
                return

    async def _round(self) -> int:
        engine, now = self.engine, self.engine.clock.now()
        waiting = await engine.db.read(queries.waiting)
        grants = rules.share_out(
            sorted(waiting, key=lambda lane: lane.endpoint_id),
            now=now,
            free=FREE,
            room_of={},
            room_default=FREE,
            after_merchant=0,
        )
        jobs = await engine.db.write(lambda tx: queue.claim(tx, grants, worker=engine.worker, now=now))
        jobs = sorted(jobs, key=lambda job: job.claimed.id)
        results = [await sending.attempt(engine, job) for job in jobs]
        await engine.db.write(lambda tx: completion.complete(tx, results, ids=engine.ids, chance=engine.chance))
        return len(jobs)

    def _register(self, tx: Tx, owner: object, dialect: Dialect) -> None:
        service.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=owner,  # type: ignore[arg-type]
            dialect=dialect,
            url=f"https://{dialect.name.lower()}.example/hook",
            options=Options(),
            ids=self.engine.ids,
            keyring=self.engine.keyring,
            now=self.engine.clock.now(),
        )
