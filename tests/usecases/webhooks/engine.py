"""An engine on a test's database, with a clock the test tells and a receiver that answers as it is told."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from opentill.db import Database, Row, Tx
from opentill.events import Audience, Event, record
from opentill.kernel.clock import Instant, ManualClock, SystemClock
from opentill.kernel.ids import SeededIds
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, MasterKeys, Secret
from opentill.merchants import service as merchants
from opentill.merchants.model import Merchant
from opentill.outbound.model import Answer, OutboundRequest
from opentill.outbound.outcomes import Outcome, outcome_of
from opentill.webhooks import completion, partitions, planning, queries, queue, rules, sending, service
from opentill.webhooks.completion import Completed
from opentill.webhooks.engine import Engine
from opentill.webhooks.entrusted import Entrusted
from opentill.webhooks.model import BOUNDS, DEFAULTS, Bounds, Dialect, Endpoint, Job, Kind, Options, Result
from tests.contract.webhooks import documents as doc


class ScriptedReceiver:
    """Answers requests by URL, keeps them, and counts how many it serves at once."""

    def __init__(self) -> None:
        self.requests: list[OutboundRequest] = []
        self.answers: dict[str, Callable[[OutboundRequest], Answer]] = {}
        self.turns: dict[str, asyncio.Semaphore] = {}  # URLs that answer as often as they are let

    async def send(self, request: OutboundRequest) -> Answer:
        self.requests.append(request)
        if request.url in self.turns:
            await self.turns[request.url].acquire()
        answer = self.answers.get(request.url)
        return says(200) if answer is None else answer(request)

    def event_ids(self) -> list[str]:
        return [dict(request.headers)["webhook-id"] for request in self.requests]


def says(status: int, *, retry_after: str | None = None, body: bytes = b"ok", duration_us: int = 1_000) -> Answer:
    """Return the answer of a receiver that spoke HTTP."""
    headers = (("Content-Type", "text/plain"), ("Set-Cookie", "session=1"))
    return Answer(
        outcome=outcome_of(status),
        duration_us=duration_us,
        status=status,
        headers=headers,
        body_kept=body,
        body_bytes=len(body),
        retry_after=retry_after,
    )


def fails(outcome: Outcome) -> Answer:
    """Return what became of a request that got no answer."""
    return Answer(outcome=outcome, duration_us=1_000, error_text="The receiver did not answer.")


class Bench:
    """An engine in the hands of a test, which makes each step happen."""

    def __init__(self, database: Database) -> None:
        # Attempts are kept by day on PostgreSQL, so the test's time is near the real one.
        self.clock = ManualClock(Instant(SystemClock().now() // 1_000_000 * 1_000_000))
        self.receiver = ScriptedReceiver()
        self.engine = Engine(
            db=database,
            sender=self.receiver,
            keyring=Keyring(MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes(32))),
            ids=SeededIds(7, self.clock),
            clock=self.clock,
            worker="worker-1",
            chance=Random(7),
            trusts_database_clock=False,
        )
        self.db = database

    async def start(self) -> "Bench":
        await self.db.write(lambda tx: partitions.keep_ahead(tx, now=self.clock.now()))
        self.merchant = await self.new_merchant("Loja Exemplo")
        return self

    async def new_merchant(self, name: str, outbound_allow: tuple[str, ...] = ()) -> Merchant:
        engine = self.engine
        return await self.db.write(
            lambda tx: merchants.create_merchant(
                tx,
                name,
                mode=Mode.SANDBOX,
                ids=engine.ids,
                keyring=engine.keyring,
                now=engine.clock.now(),
                outbound_allow=outbound_allow,
            )
        )

    @property
    def owner(self) -> Owner:
        return self.merchant.owner

    async def endpoint(
        self,
        url: str = "https://shop.example/hook",
        *,
        dialect: Dialect = Dialect.MERCHANT,
        options: Options = DEFAULTS,
        secret: str | None = None,
        owner: Owner | None = None,
        entrusted: Entrusted | None = None,
        kind: Kind = Kind.REGISTERED,
        bounds: Bounds = BOUNDS,
    ) -> tuple[Endpoint, Secret]:
        engine = self.engine
        return await self.db.write(
            lambda tx: service.create_endpoint(
                tx,
                owner=owner or self.owner,
                dialect=dialect,
                url=url,
                options=options,
                ids=engine.ids,
                keyring=engine.keyring,
                now=engine.clock.now(),
                secret=secret,
                entrusted=entrusted,
                kind=kind,
                bounds=bounds,
            )
        )

    async def operational(
        self, url: str = "https://ops.example/hook", *, options: Options = DEFAULTS
    ) -> tuple[Endpoint, Secret]:
        """Make the operator's endpoint, which hears of endpoints and deliveries."""
        return await self.endpoint(url, dialect=Dialect.STANDARD, kind=Kind.OPERATIONAL, options=options)

    async def happens(self, *events: Event) -> list[str]:
        """Record facts, each in its own transaction, and return their ids."""
        ids = []
        for event in events:

            def recorded(tx: Tx, event: Event = event) -> str:
                return record(tx, event, ids=self.engine.ids)

            ids.append(await self.db.write(recorded))
        return ids

    def event(
        self,
        type_: str = "payment.completed",
        *,
        owner: Owner | None = None,
        pix: str | None = None,
        merchant_type: str | None = "",
        routing: dict[str, str] | None = None,
        audience: Audience = Audience.BUSINESS,
        object_id: str = "0197f3c2-0000-7000-8000-000000000001",
        **parts: Any,
    ) -> Event:
        """Return a fact about a payment, with a complete document unless told otherwise."""
        return Event(
            type=type_,
            owner=owner or self.owner,
            object_type="payment",
            object_id=object_id,
            at=self.clock.now(),
            document={"merchant": doc.MERCHANT, **(parts or {"payment": doc.payment_at(type_, object_id)})},
            merchant_type=type_ if merchant_type == "" else merchant_type,
            pix_type=pix,
            audience=audience,
            routing=routing or {},
        )

    async def sets_active(self, endpoint_id: int | str, *, active: bool, **recover: Any) -> Endpoint:
        """Pause an endpoint of the merchant dialect, or have it go on."""
        return await self.db.write(
            lambda tx: service.set_active(
                tx,
                owner=self.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=endpoint_id,
                active=active,
                ids=self.engine.ids,
                now=self.clock.now(),
                **recover,
            )
        )

    async def plan(self) -> planning.Planned:
        engine = self.engine
        return await self.db.write(
            lambda tx: planning.plan(tx, ids=engine.ids, keyring=engine.keyring, now=engine.now(tx))
        )

    async def claim(self, *, worker: str = "worker-1", free: int = 64) -> list[Job]:
        """Claim as the dispatcher does."""
        waiting = await self.db.read(queries.waiting)
        grants = rules.share_out(
            waiting, now=self.clock.now(), free=free, room_of={}, room_default=64, after_merchant=0
        )
        return await self.db.write(lambda tx: queue.claim(tx, grants, worker=worker, now=self.clock.now()))

    async def send(self, job: Job) -> Result:
        return await sending.attempt(self.engine, job)

    async def complete(self, *results: Result) -> Completed:
        engine = self.engine
        return await self.db.write(lambda tx: completion.complete(tx, results, ids=engine.ids, chance=engine.chance))

    async def deliver(self) -> Completed:
        """Claim, send and record once."""
        return await self.complete(*[await self.send(job) for job in await self.claim()])

    async def claim_and_complete(self) -> int:
        """Claim, send and record once; return how many."""
        jobs = await self.claim()
        await self.complete(*[await self.send(job) for job in jobs])
        return len(jobs)

    async def rows(self, sql: str, **params: object) -> list[dict[str, Any]]:
        return await self.db.read(lambda tx: [dict(row) for row in tx.all(sql, **params)])

    async def deliveries(self) -> list[dict[str, Any]]:
        return await self.rows("select * from webhook_delivery order by id")

    async def attempts(self) -> list[dict[str, Any]]:
        return await self.rows("select * from webhook_attempt order by started_at, id")


class Counted:
    """A transaction that counts its statements."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.statements = 0

    @property
    def dialect(self) -> Any:
        return self._tx.dialect

    def run(self, sql: str, /, **params: object) -> int:
        self.statements += 1
        return self._tx.run(sql, **params)

    def defer(self, sql: str, /, **params: object) -> None:
        self.statements += 1
        self._tx.defer(sql, **params)

    def together(self, *works: Callable[[Tx], Any]) -> tuple[Any, ...]:
        return tuple(work(self) for work in works)

    def one_or_none(self, sql: str, /, **params: object) -> Row | None:
        self.statements += 1
        return self._tx.one_or_none(sql, **params)

    def all(self, sql: str, /, **params: object) -> Sequence[Row]:
        self.statements += 1
        return self._tx.all(sql, **params)

    def many(self, sql: str, rows: Sequence[Mapping[str, object]], /) -> int:
        self.statements += len(rows)
        return self._tx.many(sql, rows)

    def note_event(self) -> None:
        self._tx.note_event()
