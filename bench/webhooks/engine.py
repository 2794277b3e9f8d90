"""The delivery engine in a process of its own, as the webhook benchmarks drive it.

It is the product: its composition root, its loops, its database, its guarded client. Only what would call its APIs
is inside too, because on SQLite a second process would wait for the first one's writer: a feeder that records events
as a use case does, one transaction each, at instants fixed in advance.

    feed      record RATE events a second for SECONDS, let them be delivered, write each id with its planned instant
    fill      put COUNT deliveries in the queue and end
    fill-bare the same by SQL alone, for long queues
    fill-log  put COUNT finished deliveries with an attempt each in the log
    list      print the p95 of pages of that log
    drain     deliver what is due and print how many a second
    claim     print the p95 of claims
    plan      print events planned a second, beside a raw multi-row insert of the same rows
    hold      deliver to receivers that do not answer, and print the memory of this process
"""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.load import quantile
from opentill.db import Database, ReadTx, Tx
from opentill.events import Event, record
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.errors import Busy
from opentill.kernel.owner import Owner
from opentill.main import Assembly, assembled, loops
from opentill.merchants import service as merchants
from opentill.settings import Settings
from opentill.webhooks import partitions, planning, queries, queue, rules, service
from opentill.webhooks.model import BOUNDS, Dialect, Options
from opentill.workers.retain import retain

IN_FLIGHT = 50  # of one endpoint: the most there is
DRAIN_S_MAX = 600.0
CLAIMS = 60
CLAIM_ROWS = 64
SETTLE_S = 15.0  # for what the good ones are still sent, where bad ones never end
PAGES = 200
ROWS_A_STATEMENT = 50  # of the plain insert that planning is compared with; the product's own way may be quicker
PAYMENT = {
    "uuid": "0197f3c2-0000-7000-8000-000000000001",
    "reference": "txn_5c0e19a7b3d2f486",
    "order_id": "ORD-1",
    "gateway_trx_id": "8N7A6D5",
    "amount_units": 999_900,
    "currency": "BRL",
    "exponent": 2,
    "fee_units": 29_000,
    "net_units": 970_900,
    "refunded_units": 0,
    "charge": None,
    "gateway": "sandbox",
    "gateway_type": "api",
    "method": "api",
    "status": "completed",
    "late": False,
    "disputed": False,
    "customer": {"name": "Ana Teste", "email": "ana@example.com", "phone": ""},
    "metadata": {"cart": "1"},
    "paid_at": 1_784_000_000_000_000,
    "created_at": 1_783_999_000_000_000,
}


class Bench:
    """One install, opened as `opentill worker` opens it."""

    def __init__(self, assembly: Assembly, owner: Owner, uuid: str) -> None:
        self.assembly = assembly
        self.deps = assembly.dependencies
        self.owner = owner
        self.uuid = uuid
        self.number = 0

    @property
    def db(self) -> Database:
        return self.deps.db

    async def add_endpoints(self, urls: Sequence[str], *, of_each: int) -> None:
        """Register endpoints; with several, an event goes to one of them by its order in a family of its own."""
        for number, url in enumerate(urls):
            await self.db.write(lambda tx, url=url, number=number: self._add(tx, url, number, of_each))

    def _add(self, tx: Tx, url: str, number: int, of_each: int) -> None:
        service.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=self.owner_of(number // of_each),
            dialect=Dialect.STANDARD,
            url=url,
            options=Options(max_in_flight=IN_FLIGHT, timeout_s=10),
            ids=self.deps.ids,
            keyring=self.deps.keyring,
            now=self.deps.clock.now(),
        )

    def owner_of(self, number: int) -> Owner:
        return Owner(self.owner.merchant_id + number, self.owner.mode)

    def event(self, at: Instant, owner: Owner) -> Event:
        """Return an event of about a kilobyte, about an object of its own."""
        self.number += 1
        return Event(
            type="payment.completed",
            merchant_type="payment.completed",
            owner=owner,
            object_type="payment",
            object_id=f"payment-{self.number}",
            at=at,
            document={"merchant": {"uuid": self.uuid, "account_id": owner.account_id}, "payment": PAYMENT},
        )

    async def unfinished(self) -> int:
        def count(tx: ReadTx) -> int:
            row = tx.one_or_none(
                """select (select count(*) from webhook_delivery where state in (0, 1))
                        + (select count(*) from event where plan_state <> 1 and plan_state = 0) as n"""
            )
            return 0 if row is None else int(row["n"])

        return await self.db.read(count)

    async def is_idle(self) -> bool:
        """Tell whether nothing is unfinished. Asked over and over, so it reads a row where a count reads the queue."""
        newest = """select 1 as yes from (select event_seq from webhook_delivery where state in (0, 1)
                                          order by event_seq desc limit 1) unfinished"""
        unplanned = "select 1 as yes from event where plan_state <> 1 and plan_state = 0 limit 1"
        return not await self.db.read(lambda tx: tx.one_or_none(newest) or tx.one_or_none(unplanned))


async def feed(bench: Bench, chosen: argparse.Namespace) -> Any:
    """Record events at planned instants, whatever becomes of the ones before (open loop).

    Those of the first merchants, whose receivers are bad, are recorded too but not written down.
    """
    rate, seconds, count = chosen.rate, chosen.seconds, chosen.merchants
    shed = 0
    planned: list[tuple[str, int]] = []
    recording: set[asyncio.Task[None]] = set()

    async def one(at_us: int, place: int) -> None:
        nonlocal shed
        event = bench.event(Instant(at_us), bench.owner_of(place))
        try:
            event_id = await bench.db.write(lambda tx: record(tx, event, ids=bench.deps.ids))
        except Busy:  # whoever asked would be told to come back
            shed += 1
            return
        if place >= chosen.healthy_from:
            planned.append((event_id, at_us))

    async def all_of_them() -> None:
        begin_us, begin = time.time_ns() // 1000, time.monotonic()
        for number in range(int(rate * seconds)):
            due = number / rate
            wait = begin + due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(one(begin_us + int(due * 1e6), number % count))
            recording.add(task)
            task.add_done_callback(recording.discard)
        await asyncio.gather(*recording)

    async with loops(bench.assembly, workers=not chosen.no_workers):
        await asyncio.sleep(1.0)
        retaining = asyncio.create_task(retain(bench.deps)) if chosen.retain else None
        await all_of_them()
        backlog = await bench.unfinished()
        drained = 0 if chosen.healthy_from else await until_done(bench)
        if chosen.healthy_from:
            await asyncio.sleep(SETTLE_S)
        removed = await retaining if retaining else {}
    chosen.written.write_text("".join(f"{event_id} {at}\n" for event_id, at in planned))
    return {"recorded": len(planned), "backlog": backlog, "left": drained, "removed": removed, "shed": shed}


async def until_done(bench: Bench) -> int:
    """Wait until nothing is unfinished; return what is left after the longest wait."""
    limit, idle = time.monotonic() + DRAIN_S_MAX, await bench.is_idle()
    while not idle and time.monotonic() < limit:
        await asyncio.sleep(0.1)
        idle = await bench.is_idle()
    return await bench.unfinished()


async def fill(bench: Bench, *, count: int, merchants_: int = 1) -> Any:
    """Record and plan COUNT events while no dispatcher runs."""
    for begin in range(0, count, 200):
        now = bench.deps.clock.now()
        events = [bench.event(now, bench.owner_of(n % merchants_)) for n in range(min(200, count - begin))]

        def work(tx: Tx, events: Sequence[Event] = events) -> None:
            for event in events:
                record(tx, event, ids=bench.deps.ids)

        await bench.db.write(work)
        await bench.db.write(
            lambda tx: planning.plan(tx, ids=bench.deps.ids, keyring=bench.deps.keyring, now=bench.deps.clock.now())
        )
    return {"filled": count}


async def fill_bare(bench: Bench, *, count: int, merchants_: int) -> Any:
    """Put COUNT deliveries in the queue by SQL alone, shared by all endpoints: copies of one planned event each."""
    await fill(bench, count=merchants_, merchants_=merchants_)
    series = (
        "generate_series(1, :count) s(n)"
        if bench.db.dialect == "postgres"
        else "(with recursive s(n) as (select 1 union all select n + 1 from s where n < :count) select n from s) s"
    )

    def work(tx: Tx) -> None:
        tx.run(
            f"""
            insert into event (id, merchant_id, mode, audience, type, merchant_type, object_type, object_id,
                               occurred_at, doc, plan_state)
            select 'evt_bare' || e.seq || '_' || s.n, e.merchant_id, e.mode, 0, e.type, e.merchant_type,
                   e.object_type, 'bare-' || e.seq || '-' || s.n, e.occurred_at, e.doc, 1
              from event e, {series}
            """,
            count=count // merchants_,
        )
        tx.run(
            """
            insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, created_at)
            select 'dlv_bare' || v.seq, v.seq, d.endpoint_id, d.wire_type, d.variant, v.object_id, d.created_at
              from event v
              join webhook_endpoint e on e.merchant_id = v.merchant_id and e.mode = v.mode
              join (select endpoint_id, min(wire_type) as wire_type, min(variant) as variant,
                           min(created_at) as created_at
                      from webhook_delivery group by endpoint_id) d on d.endpoint_id = e.id
             where v.id like 'evt_bare%'
            """
        )

    await bench.db.write(work)
    await gather_statistics(bench)
    return {"filled": count}


async def gather_statistics(bench: Bench) -> None:
    """Do at once what PostgreSQL's own housekeeping does within a minute of so many new rows."""
    if bench.db.dialect == "postgres":
        await bench.db.write(lambda tx: tx.run("analyze event, webhook_delivery, webhook_attempt"))


async def fill_log(bench: Bench, *, count: int, days: int) -> Any:
    """Put COUNT finished deliveries with an attempt each in the log, DAYS old."""
    await fill_bare(bench, count=count, merchants_=1)
    then = bench.deps.clock.now() - days * DAY
    begin = then // DAY * DAY if bench.db.dialect == "postgres" else then
    if bench.db.dialect == "postgres":
        await bench.db.write(
            lambda tx: (
                tx.run(
                    f"create table if not exists webhook_attempt_bench partition of webhook_attempt "
                    f"for values from ({begin}) to ({begin + DAY})"
                )
                if days
                else partitions.keep_ahead(tx, now=then)
            )
        )

    def work(tx: Tx) -> None:
        tx.run("update webhook_delivery set state = 2, attempts = 1, finished_at = :t, created_at = :t", t=then)
        tx.run("update event set occurred_at = :t", t=then)
        tx.run(
            """
            insert into webhook_attempt (public_id, delivery_id, endpoint_id, number, claim_gen, started_at,
                                         duration_us, outcome, status, fenced, detail)
            select 'att_bare' || id, id, endpoint_id, 1, 1, :t, 1000, 'ok', 200, 0, '{"trigger":"event"}'
              from webhook_delivery
            """,
            t=then,
        )

    await bench.db.write(work)
    await gather_statistics(bench)
    return {"filled": count}


async def read_lists(bench: Bench) -> Any:
    """Read pages of deliveries with their attempts, at random places of the log."""
    from random import Random

    chance, times = Random(7), []
    newest = await bench.db.read(lambda tx: queries.deliveries(tx, owner=bench.owner, limit=1))
    for _ in range(PAGES):
        before = chance.randrange(1, newest[0].id + 1)

        def page(tx: ReadTx, before: int = before) -> int:
            rows = queries.deliveries(tx, owner=bench.owner, limit=50, before=before)
            return len(queries.attempts(tx, [row.id for row in rows]))

        begin = time.perf_counter()
        await bench.db.read(page)
        times.append(1000 * (time.perf_counter() - begin))
    ordered = sorted(times)
    return {"p95_ms": quantile(ordered, 0.95), "p50_ms": quantile(ordered, 0.5)}


async def drain(bench: Bench) -> Any:
    """Deliver everything that is due."""
    count, begin = await bench.unfinished(), time.monotonic()
    async with loops(bench.assembly, workers=True):
        left = await until_done(bench)
    return {"rate": (count - left) / (time.monotonic() - begin), "left": left}


async def claim(bench: Bench) -> Any:
    """Claim as the dispatcher does and give everything back, over and over; only the claim is timed."""
    from random import Random

    from opentill.web.engine import engine_of
    from opentill.webhooks import completion, sending

    engine, times, chance = engine_of(bench.deps), [], Random(7)
    for _ in range(CLAIMS):
        begin = time.perf_counter()
        waiting = await bench.db.read(queries.waiting)
        grants = rules.share_out(
            waiting, now=bench.deps.clock.now(), free=CLAIM_ROWS, room_of={}, room_default=64, after_merchant=0
        )
        jobs = await bench.db.write(
            lambda tx, grants=grants: queue.claim(tx, grants, worker="bench", now=engine.now(tx))
        )
        times.append(1000 * (time.perf_counter() - begin))
        dropped = [sending.dropped(engine, job) for job in jobs]
        await bench.db.write(
            lambda tx, dropped=dropped: completion.complete(tx, dropped, ids=engine.ids, chance=chance)
        )
    ordered = sorted(times[5:])
    return {"p95_ms": quantile(ordered, 0.95), "p50_ms": quantile(ordered, 0.5)}


async def plan(bench: Bench, *, count: int) -> Any:
    """Plan COUNT recorded events, then insert as many rows of the same kind in bulk."""
    events = [bench.event(bench.deps.clock.now(), bench.owner) for _ in range(count)]
    for begin in range(0, count, 200):
        part = events[begin : begin + 200]
        await bench.db.write(lambda tx, part=part: [record(tx, event, ids=bench.deps.ids) for event in part])
    begin_s = time.perf_counter()
    planned = 0
    while planned < count:
        done = await bench.db.write(
            lambda tx: planning.plan(tx, ids=bench.deps.ids, keyring=bench.deps.keyring, now=bench.deps.clock.now())
        )
        planned += len(done.seqs)
    planning_s = time.perf_counter() - begin_s
    raw_s = await _insert_again(bench, count)
    return {"rate": count / planning_s, "raw": count / raw_s}


async def _insert_again(bench: Bench, count: int) -> float:
    """Delete what was planned and insert the same rows from memory, 50 a statement, 200 a transaction."""

    def rows_of(table: str) -> Callable[[ReadTx], list[dict[str, Any]]]:
        return lambda tx: [dict(row) for row in tx.all(f"select * from {table}")]

    tables = {name: await bench.db.read(rows_of(name)) for name in ("webhook_payload", "webhook_delivery")}
    for row in tables["webhook_delivery"]:
        del row["id"]
    for name in tables:
        await bench.db.write(lambda tx, name=name: tx.run(f"delete from {name}"))
    spent = 0.0
    for begin in range(0, count, 200):

        def work(tx: Tx, begin: int = begin) -> None:
            for name, rows in tables.items():
                part = rows[begin : begin + 200]
                if part:
                    _insert_rows(tx, name, part)

        started = time.perf_counter()
        await bench.db.write(work)
        spent += time.perf_counter() - started
    return spent


def _insert_rows(tx: Tx, table: str, rows: Sequence[dict[str, Any]]) -> None:
    for batch in (rows[i : i + ROWS_A_STATEMENT] for i in range(0, len(rows), ROWS_A_STATEMENT)):
        tuples = ", ".join(f"({', '.join(f':{column}_{i}' for column in rows[0])})" for i in range(len(batch)))
        values = {f"{column}_{i}": value for i, row in enumerate(batch) for column, value in row.items()}
        tx.run(f"insert into {table} ({', '.join(rows[0])}) values {tuples}", **values)


async def hold(bench: Bench, *, seconds: float) -> Any:
    """Keep as many attempts under way as there may be, and tell the memory of this process."""
    async with loops(bench.assembly, workers=True):
        await asyncio.sleep(seconds)

        def count(tx: ReadTx) -> int:
            row = tx.one_or_none("select count(*) as n from webhook_delivery where state = 1")
            return 0 if row is None else int(row["n"])

        in_flight = await bench.db.read(count)
    return {"megabytes": resident_bytes() / 1e6, "in_flight": in_flight}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def run(chosen: argparse.Namespace) -> Any:
    settings = Settings.from_environment(data=chosen.data, dev=True)
    async with assembled(settings) as assembly:
        merchant = await assembly.dependencies.db.read(lambda tx: merchants.find_merchant(tx, chosen.merchant))
        bench = Bench(assembly, merchant.owner, merchant.uuid)
        if chosen.urls:
            await bench.add_endpoints(chosen.urls, of_each=chosen.of_each)
        match chosen.do:
            case "feed":
                return await feed(bench, chosen)
            case "fill":
                return await fill(bench, count=chosen.count, merchants_=chosen.merchants)
            case "fill-bare":
                return await fill_bare(bench, count=chosen.count, merchants_=chosen.merchants)
            case "fill-log":
                return await fill_log(bench, count=chosen.count, days=chosen.days)
            case "list":
                return await read_lists(bench)
            case "drain":
                return await drain(bench)
            case "claim":
                return await claim(bench)
            case "plan":
                return await plan(bench, count=chosen.count)
            case _:
                return await hold(bench, seconds=chosen.seconds)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--do", required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--merchant", required=True)
    arguments.add_argument("--urls", nargs="*", default=[])
    arguments.add_argument("--of-each", type=int, default=20, help="endpoints of one merchant")
    arguments.add_argument("--merchants", type=int, default=1)
    arguments.add_argument("--rate", type=float, default=0)
    arguments.add_argument("--seconds", type=float, default=0)
    arguments.add_argument("--count", type=int, default=0)
    arguments.add_argument("--written", type=Path)
    arguments.add_argument("--no-workers", action="store_true")
    arguments.add_argument("--healthy-from", type=int, default=0, help="the first merchant whose receiver is good")
    arguments.add_argument("--retain", action="store_true", help="let retention work meanwhile")
    arguments.add_argument("--days", type=int, default=0, help="how old a filled log is")
    print(json.dumps(uvloop.run(run(arguments.parse_args()))))


if __name__ == "__main__":
    main()
