"""The planner and dispatcher loops at work, with real sockets and the real clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from standardwebhooks import Webhook

from opentill.db import Database, open_database
from opentill.kernel.clock import HOUR, ManualClock, SystemClock
from opentill.kernel.ids import SystemIds
from opentill.outbound import AllowList, Outbound
from opentill.outbound.model import Answer, OutboundRequest
from opentill.webhooks import planning
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import DeliveryState, Options
from opentill.webhooks.queries import oldest_due_us, orphans
from opentill.webhooks.rules import HANGING_S
from opentill.webhooks.store.results import RECLAIM_ROWS_MAX
from opentill.workers.deliver import Dispatcher, deliver_loop
from opentill.workers.plan import plan_loop
from tests.fakes.receiver import Received, Receiver
from tests.usecases.webhooks.engine import Bench, says

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(
    bench: Bench, database: Database, *, worker: str = "worker-1", allow: Sequence[str] = ("127.0.0.1",)
) -> AsyncIterator[Engine]:
    """Run both loops with the real client, and stop them in the end."""
    clock = SystemClock()
    async with Outbound(allow=AllowList.parse(allow)) as outbound:
        engine = Engine(
            db=database,
            sender=outbound,
            keyring=bench.engine.keyring,
            ids=SystemIds(clock),
            clock=clock,
            worker=worker,
        )
        stop = asyncio.Event()
        tasks = [asyncio.create_task(plan_loop(engine, stop)), asyncio.create_task(deliver_loop(engine, stop))]
        try:
            yield engine
        finally:
            stop.set()
            began = time.monotonic()
            await asyncio.gather(*tasks)
            assert time.monotonic() - began < 10


async def settled(bench: Bench, count: int, within_s: float = 5.0) -> None:
    """Wait until so many deliveries are delivered."""

    async def delivered() -> bool:
        return len([d for d in await bench.deliveries() if d["state"] == DeliveryState.DELIVERED]) >= count

    await eventually(delivered, within_s=within_s)


async def eventually(holds: Callable[[], Awaitable[bool]], *, within_s: float = 5.0) -> None:
    """Ask again and again until it holds."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - rows and sockets ring no bell
            await asyncio.sleep(0.01)


async def test_events_recorded_while_the_loops_run_are_delivered_and_verify(bench: Bench, database: Database) -> None:
    async with Receiver() as receiver:
        _, secret = await bench.endpoint(receiver.url("/hook"))
        library = Webhook(secret.reveal())

        def verify(request: Received) -> None:
            library.verify(request.body, {name.lower(): value for name, value in request.headers})

        receiver._check = verify
        async with running(bench, database):
            ids = await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(20)])
            requests = await receiver.wait_for(20)
            await settled(bench, 20)

    assert receiver.failed_checks == []
    assert sorted(str(request.header("webhook-id")) for request in requests) == sorted(ids)
    assert {request.header("user-agent") for request in requests} == {"OpenTill-Webhook/0.1.0"}
    now = SystemClock().now()
    assert (await database.read(lambda tx: orphans(tx, now=now))).total == 0
    assert await database.read(lambda tx: oldest_due_us(tx, now=now)) == 0


async def test_an_idle_engine_sends_an_event_at_once(bench: Bench, database: Database) -> None:
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/hook"))
        delays = []
        async with running(bench, database):
            await asyncio.sleep(0.2)
            for n in range(5):
                await bench.happens(bench.event(object_id=f"payment-{n}"))
                committed = time.monotonic()
                requests = await receiver.wait_for(n + 1)
                delays.append(requests[n].at - committed)
                await asyncio.sleep(0.05)
    assert sorted(delays)[2] < 0.25, delays


async def test_what_happened_while_nothing_ran_is_delivered_at_the_start(bench: Bench, database: Database) -> None:
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/hook"))
        await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(3)])
        async with running(bench, database):
            await receiver.wait_for(3)
            await settled(bench, 3)


async def test_a_hanging_receiver_does_not_keep_another_waiting(bench: Bench, database: Database) -> None:
    async with Receiver() as receiver:
        receiver.script("/hangs", "hang")
        slow = Options(timeout_s=2)
        await bench.endpoint(receiver.url("/hangs"), options=slow)
        await bench.endpoint(receiver.url("/well"))
        async with running(bench, database):
            await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(12)])
            began = time.monotonic()

            async def all_came() -> bool:
                return sum(request.path == "/well" for request in receiver.requests) == 12

            await eventually(all_came)
            assert time.monotonic() - began < 1.5
            assert sum(request.path == "/hangs" for request in receiver.requests) <= 4
            await asyncio.sleep(2.2 - (time.monotonic() - began))


async def test_receivers_that_hang_leave_half_of_all_slots_to_the_others(bench: Bench, database: Database) -> None:
    slots, hung_for_s = 8, HANGING_S + 0.1
    async with Receiver() as receiver:
        receiver.script("/hangs", "hang")
        hanging = Options(events=("payment.completed",), max_in_flight=50, timeout_s=4)
        await bench.endpoint(receiver.url("/hangs"), options=hanging)
        await bench.endpoint(receiver.url("/well"), options=Options(events=("payment.expired",)))
        async with running(bench, database) as engine:
            engine.in_flight_max = slots
            await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(slots // 2 - 1)])
            await receiver.wait_for(slots // 2 - 1)
            await asyncio.sleep(hung_for_s)  # that is how one knows
            await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(slots, 3 * slots)])
            await bench.happens(bench.event("payment.expired", object_id="payment-0"))

            async def came() -> bool:
                return any(request.path == "/well" for request in receiver.requests)

            await eventually(came, within_s=hanging.timeout_s - hung_for_s)
            assert sum(request.path == "/hangs" for request in receiver.requests) == slots // 2


async def test_two_workers_never_send_one_delivery_at_the_same_time(bench: Bench, database: Database) -> None:
    async with Receiver() as receiver:
        receiver.script("*", "slow:0.02")
        await bench.endpoint(receiver.url("/hook"), options=Options(max_in_flight=50))
        await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(60)])
        async with running(bench, database), running(bench, database, worker="worker-2"):
            await receiver.wait_for(60, within_s=10)
            await settled(bench, 60, within_s=10)
        ids = [request.header("webhook-id") for request in receiver.requests]
        assert len(ids) == len(set(ids)) == 60
        assert {row["claim_gen"] for row in await bench.deliveries()} == {1}


async def test_a_private_address_is_dialled_only_for_the_merchant_it_was_opened_for(
    bench: Bench, database: Database
) -> None:
    opened = await bench.new_merchant("Loja de Teste", outbound_allow=("127.0.0.1",))
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/mine"), owner=opened.owner)
        await bench.endpoint(receiver.url("/theirs"))
        async with running(bench, database, allow=()):
            await bench.happens(bench.event(owner=opened.owner), bench.event())
            await receiver.wait_for(1)

            async def both_tried() -> bool:
                return len(await bench.attempts()) == 2

            await eventually(both_tried)
    assert [request.path for request in receiver.requests] == ["/mine"]
    assert receiver.connections == 1
    outcomes = {row["outcome"]: row for row in await bench.attempts()}
    assert set(outcomes) == {"ok", "blocked_address"}
    assert bytes(outcomes["ok"]["body"]) == b"ok"
    assert "127.0.0.0/8" in outcomes["blocked_address"]["detail"]


class Gated:
    """A database that begins what it is given while its gate is open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.gate, self.waiting = asyncio.Event(), 0
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        if not self.gate.is_set():
            self.waiting += 1
            await self.gate.wait()
        return await self._database.write(work)


async def test_what_was_sent_when_the_loop_is_stopped_is_recorded_and_not_sent_again(
    bench: Bench, database: Database
) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(3)])
    await bench.plan()
    bench.engine.db = gated = Gated(database)  # type: ignore[assignment]

    def answered(_: OutboundRequest) -> Answer:
        if len(bench.receiver.requests) == 3:
            gated.gate.clear()
        return says(200)

    bench.receiver.answers[endpoint.url] = answered
    stop = asyncio.Event()
    delivering = asyncio.create_task(deliver_loop(bench.engine, stop))

    async def sent() -> bool:
        return len(bench.receiver.requests) == 3 and gated.waiting > 0

    await eventually(sent)
    stop.set()
    await asyncio.sleep(0)
    assert not delivering.done()
    gated.gate.set()
    await delivering
    assert [(row["state"], row["attempts"]) for row in await bench.deliveries()] == [(DeliveryState.DELIVERED, 1)] * 3


async def test_what_the_planner_claims_while_the_loop_is_stopped_is_sent_or_given_back(bench: Bench) -> None:
    engine = bench.engine
    endpoint, _ = await bench.endpoint()
    stop, dispatcher = asyncio.Event(), Dispatcher(engine)
    delivering = asyncio.create_task(dispatcher.run(stop))

    async def ready() -> bool:
        return engine.dispatching is not None

    await eventually(ready)
    slots = dispatcher.reserve()
    assert slots is not None
    stop.set()
    await bench.happens(bench.event())
    began = time.monotonic()
    planned = await bench.db.write(
        lambda tx: planning.plan(tx, ids=engine.ids, keyring=engine.keyring, now=bench.clock.now(), slots=slots)
    )
    assert len(planned.jobs) == 1
    dispatcher.start(planned.jobs, slots, claimed_at=began)
    await delivering
    (row,) = await bench.deliveries()
    assert (row["state"], row["endpoint_id"]) == (DeliveryState.DELIVERED, endpoint.id)


async def test_a_lone_process_takes_back_all_its_predecessor_was_sending(bench: Bench) -> None:
    count = RECLAIM_ROWS_MAX + 5
    await bench.endpoint()
    await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(count)])
    while (await bench.plan()).seqs:
        pass
    forever = bench.clock.now() + HOUR
    await bench.db.write(
        lambda tx: tx.run(
            "update webhook_delivery set state = 1, claim_gen = 1, lease_owner = 'dead', lease_until = :t", t=forever
        )
    )
    bench.engine.works_alone = True
    stop = asyncio.Event()
    delivering = asyncio.create_task(deliver_loop(bench.engine, stop))

    async def all_taken_back() -> bool:
        return not await bench.rows("select 1 from webhook_delivery where lease_owner = 'dead'")

    await eventually(all_taken_back)
    stop.set()
    await delivering
    assert len(await bench.rows("select 1 from webhook_attempt where outcome = 'lost'")) == count


async def test_a_worker_whose_clock_is_late_goes_by_the_clock_of_the_database(postgres_url: str) -> None:
    async with open_database(postgres_url) as database:
        bench = await Bench(database).start()
        endpoint, _ = await bench.endpoint()
        await bench.happens(bench.event())
        await bench.plan()
        real = SystemClock().now()
        await database.write(lambda tx: tx.run("update webhook_delivery set klass = 1, due_at = :now", now=real))
        bench.engine.clock, bench.engine.trusts_database_clock = ManualClock(real - HOUR), True  # type: ignore[arg-type]
        stop = asyncio.Event()
        delivering = asyncio.create_task(deliver_loop(bench.engine, stop))

        async def came() -> bool:
            return len(bench.receiver.requests) == 1

        await eventually(came)
        stop.set()
        await delivering
    assert bench.receiver.requests[0].url == endpoint.url


async def test_a_flooded_lane_does_not_take_all_the_room_of_its_merchant(bench: Bench) -> None:
    flood, room = 120, 4
    bench.engine.in_flight_per_merchant_max = room
    flooded, _ = await bench.endpoint("https://shop.example/flooded", options=Options(max_in_flight=50))
    quiet, _ = await bench.endpoint("https://shop.example/quiet", options=Options(events=("payment.expired",)))
    turns = bench.receiver.turns[flooded.url] = asyncio.Semaphore(0)
    await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(flood)])
    while (await bench.plan()).seqs:
        pass
    stop = asyncio.Event()
    delivering = asyncio.create_task(deliver_loop(bench.engine, stop))

    async def requested(count: int) -> None:
        async def came() -> bool:
            return len(bench.receiver.requests) >= count

        await eventually(came)

    await requested(room)
    await bench.happens(bench.event("payment.expired", object_id="payment-0"))
    await bench.plan()
    bench.engine.to_send.ring([quiet.id])
    answered = 0
    while quiet.url not in [request.url for request in bench.receiver.requests]:
        turns.release()
        answered += 1
        await requested(room + answered)
    assert answered < flood / 2
    for _ in range(flood):
        turns.release()
    stop.set()
    await delivering
