"""A process dies at each named place of the delivery engine; after the next start every id is found again (R1, F1)."""

import asyncio
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from random import Random

import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY, Instant, SystemClock
from opentill.kernel.failpoints import WEBHOOKS
from opentill.webhooks import retention, service
from opentill.webhooks.model import BOUNDS, DeliveryState, Dialect, EndpointState, Options, Recover
from opentill.webhooks.queries import orphans
from opentill.webhooks.retention import Terms
from opentill.webhooks.signing import body_hex
from tests.chaos.webhooks.loops import eventually
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio

IN_FLIGHT = 3
OPTIONS = Options(max_in_flight=IN_FLIGHT, timeout_s=1, schedule=(1,) * 10)
SHORT_LEASE_S = 8
FED_EVERY_S = 0.02
DIES_S_MAX = 60.0
SETTLES_S_MAX = 60.0
WAITING_MAX = 10
VISITS_MAX = 6
WAYS = {"heartbeat": "slow:0.5", "send": "close:slow:0.02"}  # how the receiver answers; once closed, each is dialled

# The places a worker passes again and again while events keep coming; the others have a story of their own.
ON_THE_WAY = sorted(
    place
    for place in WEBHOOKS
    if place.split(".")[0] in ("plan", "claim", "send", "answer", "complete") or place in ("heartbeat", "shutdown")
)


async def start(module: str, *words: object, dies: str = "") -> asyncio.subprocess.Process:
    """Start a process of the engine that dies at a place, `<place>:exit:<visit>`, if one is named."""
    environment = os.environ | ({"OPENTILL_FAILPOINT": dies} if dies else {})
    command = ["-W", "error", "-m", f"tests.chaos.webhooks.{module}", *map(str, words)]
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stdout=asyncio.subprocess.PIPE
    )


async def died(process: asyncio.subprocess.Process) -> list[str]:
    """Wait until a process is dead, killed by its failpoint; return the lines it printed before."""
    printed, _ = await asyncio.wait_for(process.communicate(), DIES_S_MAX)
    assert process.returncode == -signal.SIGKILL, "the process never came to its failpoint"
    return printed.decode().split()


async def acted(url: str, wanted: str, bench: Bench, endpoint_id: int = 0, *, dies: str) -> list[str]:
    """Let a process do one thing and die meanwhile."""
    return await died(await start("acting", url, wanted, bench.owner.merchant_id, endpoint_id, dies=dies))


async def work_until(true: Callable[[], object], url: str) -> None:
    """Let a sound worker work until something is true, and end it."""
    worker = await start("worker", url, "sound")
    try:
        await eventually(true, within_s=SETTLES_S_MAX)  # type: ignore[arg-type]
    finally:
        worker.terminate()
    assert await asyncio.wait_for(worker.wait(), 30) in (0, -signal.SIGTERM)  # the latter before it was listening


def all_delivered(bench: Bench, count: int) -> Callable[[], object]:
    async def are() -> bool:
        states = [row["state"] for row in await bench.deliveries()]
        return states.count(DeliveryState.DELIVERED) == len(states) >= count

    return are


async def reconciled(bench: Bench, receiver: Receiver, recorded: Sequence[str], *, deaths: int) -> None:
    """Every recorded event was received, always in the same bytes, few twice; nothing is left behind."""
    arrived = Counter(str(request.header("webhook-id")) for request in receiver.requests)
    assert set(arrived) == set(recorded)
    assert arrived.total() - len(arrived) <= deaths * IN_FLIGHT
    bodies = defaultdict(set)
    for request in receiver.requests:
        bodies[request.header("webhook-id")].add(request.body)
    assert {len(seen) for seen in bodies.values()} <= {1}
    now = SystemClock().now()
    assert (await bench.db.read(lambda tx: orphans(tx, now=now))).total == 0


async def few_facts(bench: Bench, count: int, **more: object) -> list[str]:
    return await bench.happens(*[bench.event(object_id=f"few-{n}", **more) for n in range(count)])  # type: ignore[arg-type]


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
@pytest.mark.parametrize("place", ON_THE_WAY)
async def test_a_worker_that_dies_on_the_way_of_a_delivery_loses_nothing(
    database: Database, database_url: str, place: str, bar_size: int, bar_seed: int
) -> None:
    bench, chance = await Bench(database).start(), Random(bar_seed)
    recorded: list[str] = []
    async with Receiver() as receiver:
        receiver.script("*", WAYS.get(place.split(".")[0], "slow:0.02"))
        await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        for death in range(bar_size):
            lease = [SHORT_LEASE_S] if place == "heartbeat" else []
            visit = 1 if place in ("heartbeat", "shutdown") else chance.randint(1, VISITS_MAX)
            worker = await start("worker", database_url, f"worker-{death}", *lease, dies=f"{place}:exit:{visit}")
            dying, received = asyncio.create_task(died(worker)), len(receiver.requests)
            told_to_end = place != "shutdown"
            while not dying.done():
                if len(recorded) - len(receiver.requests) < WAITING_MAX:
                    recorded += await few_facts(bench, 1)
                if not told_to_end and len(receiver.requests) > received + 1:
                    worker.terminate()  # once: a second signal could find it dead and take its exit status
                    told_to_end = True
                await asyncio.sleep(FED_EVERY_S)
            await dying
        await work_until(all_delivered(bench, len(recorded)), database_url)
        await reconciled(bench, receiver, recorded, deaths=bar_size)


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
@pytest.mark.parametrize("place", ["event.recorded", "event.committed"])
async def test_what_was_acknowledged_before_a_death_is_delivered_and_nothing_else_but_the_last(
    database: Database, database_url: str, place: str, bar_size: int, bar_seed: int
) -> None:
    bench, chance = await Bench(database).start(), Random(bar_seed)
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        acknowledged: set[str] = set()
        for _ in range(bar_size):
            acknowledged.update(
                await acted(database_url, "record", bench, dies=f"{place}:exit:{chance.randint(1, VISITS_MAX)}")
            )
        stored = {row["id"] for row in await bench.rows("select id from event")}
        assert acknowledged <= stored
        assert len(stored) - len(acknowledged) == (bar_size if place == "event.committed" else 0)
        await work_until(all_delivered(bench, len(stored)), database_url)
        await reconciled(bench, receiver, sorted(stored), deaths=0)


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_a_worker_that_dies_while_it_takes_back_what_another_lost_loses_nothing(
    database: Database, database_url: str, bar_size: int
) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        recorded = await few_facts(bench, 2 * IN_FLIGHT)
        for death in range(bar_size):
            await died(await start("worker", database_url, f"first-{death}", dies="send.resolved:exit:1"))
            await died(await start("worker", database_url, f"second-{death}", dies="reclaim:exit:1"))
        await work_until(all_delivered(bench, len(recorded)), database_url)
        await reconciled(bench, receiver, recorded, deaths=2 * bar_size)


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_an_endpoint_whose_disabling_was_interrupted_is_disabled_by_the_next_answer(
    database: Database, database_url: str, bar_size: int
) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        receiver.script("/hook", "status:410")
        endpoint, _ = await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        recorded = await few_facts(bench, 2 * IN_FLIGHT)
        for death in range(bar_size):
            await died(await start("worker", database_url, f"worker-{death}", dies="disable:exit:1"))
            (row,) = await bench.rows("select state from webhook_endpoint")
            assert row["state"] == EndpointState.ACTIVE

        async def disabled() -> bool:
            (row,) = await bench.rows("select state from webhook_endpoint")
            return bool(row["state"] == EndpointState.DISABLED)

        await work_until(disabled, database_url)
        receiver.script("/hook", "ok")
        place = {"owner": bench.owner, "dialect": Dialect.MERCHANT, "endpoint_id": endpoint.id}
        place |= {"ids": bench.engine.ids, "now": SystemClock().now()}
        await bench.db.write(lambda tx: service.set_active(tx, **place, active=True))  # type: ignore[arg-type]
        await bench.db.write(lambda tx: service.recover(tx, rate_per_s=BOUNDS.replay_rate, **place, since=Instant(0)))  # type: ignore[arg-type]
        await work_until(all_delivered(bench, len(recorded)), database_url)
        ok = {str(request.header("webhook-id")) for request in receiver.requests}
        assert ok == set(recorded)


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_an_activation_that_dies_between_two_batches_goes_on(
    database: Database, database_url: str, bar_size: int
) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        endpoint, _ = await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        place = {"owner": bench.owner, "dialect": Dialect.MERCHANT, "endpoint_id": endpoint.id}
        place |= {"ids": bench.engine.ids, "now": SystemClock().now()}
        await bench.db.write(lambda tx: service.set_active(tx, **place, active=False))  # type: ignore[arg-type]
        recorded = await few_facts(bench, 10)
        await bench.plan()
        await bench.db.write(
            lambda tx: service.set_active(tx, **place, active=True, recover=Recover.ALL)  # type: ignore[arg-type]
        )
        for death in range(bar_size):
            await died(await start("worker", database_url, f"worker-{death}", dies="activate.batch:exit:1"))
        await work_until(all_delivered(bench, len(recorded)), database_url)
        await reconciled(bench, receiver, recorded, deaths=bar_size)


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_a_replay_that_dies_between_two_batches_sends_each_event_once(
    database: Database, database_url: str, bar_size: int, bar_seed: int
) -> None:
    bench, chance = await Bench(database).start(), Random(bar_seed)
    recorded = await few_facts(bench, 40)
    await bench.plan()
    async with Receiver() as receiver:
        endpoint, _ = await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        place = {"owner": bench.owner, "dialect": Dialect.MERCHANT, "endpoint_id": endpoint.id}
        place |= {"ids": bench.engine.ids, "now": SystemClock().now()}
        await bench.db.write(lambda tx: service.recover(tx, rate_per_s=BOUNDS.replay_rate, since=None, **place))  # type: ignore[arg-type]
        for death in range(bar_size):
            visit = chance.randint(1, 2) if death == 0 else 1
            await died(await start("worker", database_url, f"worker-{death}", dies=f"replay.batch:exit:{visit}"))
        await work_until(all_delivered(bench, len(recorded)), database_url)
        await reconciled(bench, receiver, recorded, deaths=bar_size)
        assert len(await bench.deliveries()) == len(recorded)


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_a_rotation_that_dies_leaves_the_secret_as_it_was(
    database: Database, database_url: str, bar_size: int
) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        endpoint, secret = await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        for _ in range(bar_size):
            await acted(database_url, "rotate", bench, endpoint.id, dies="rotate:exit:1")
        assert len(await bench.rows("select 1 from webhook_secret")) == 1
        recorded = await few_facts(bench, 3)
        await work_until(all_delivered(bench, len(recorded)), database_url)
        for request in receiver.requests:
            assert request.header("X-OP-Signature") == body_hex(secret, request.body)


@pytest.mark.checklist("F1", "F17")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_a_reader_that_dies_while_a_feed_is_numbered_leaves_no_gap(
    database: Database, database_url: str, bar_size: int, bar_seed: int
) -> None:
    bench, chance, engine = await Bench(database).start(), Random(bar_seed), None
    engine = bench.engine
    opened = await bench.db.write(
        lambda tx: service.open_feed(
            tx,
            bounds=BOUNDS,
            owner=bench.owner,
            dialect=Dialect.MERCHANT,
            options=Options(),
            ids=engine.ids,
            keyring=engine.keyring,
            now=engine.clock.now(),
        )
    )
    recorded = await few_facts(bench, 30)
    await bench.plan()
    for _ in range(bar_size):
        await acted(database_url, "read", bench, opened.endpoint.id, dies=f"feed.numbered:exit:{chance.randint(1, 2)}")
    page = await bench.db.write(
        lambda tx: service.read_feed(tx, opened.endpoint, after=0, limit=500, now=SystemClock().now())
    )
    assert [number for number, _ in page.items] == list(range(1, len(recorded) + 1))
    assert [job.claimed.event_id for _, job in page.items] == recorded


@pytest.mark.checklist("F1")
@pytest.mark.bar("R1", part="webhooks", gate=5, target=40, quick=1)
async def test_retention_that_dies_forgets_nothing_without_its_checkpoint(
    database: Database, database_url: str, bar_size: int, bar_seed: int
) -> None:
    bench, chance = await Bench(database).start(), Random(bar_seed)
    await few_facts(bench, 30)
    await bench.plan()
    await bench.db.write(
        lambda tx: tx.run("update event set occurred_at = :then", then=SystemClock().now() - 100 * DAY)
    )
    for _ in range(bar_size):
        await acted(database_url, "forget", bench, dies=f"retain.batch:exit:{chance.randint(1, 2)}")
    (sealed,) = await bench.rows("select coalesce(sum(events), 0) as n from event_checkpoint")
    (left,) = await bench.rows("select count(*) as n from event")
    assert sealed["n"] + left["n"] == 30
    keyring = bench.engine.keyring
    now = SystemClock().now()
    await bench.db.write(lambda tx: retention.purge_events(tx, 0, terms=Terms(), keyring=keyring, now=now))
    (sealed,) = await bench.rows("select coalesce(sum(events), 0) as n from event_checkpoint")
    assert sealed["n"] == 30
    assert list(await bench.db.read(lambda tx: list(retention.find_false_checkpoints(tx, keyring=keyring)))) == []


def test_every_place_has_its_test() -> None:
    stories = {"event.recorded", "event.committed", "reclaim", "disable", "activate.batch", "replay.batch", "rotate"}
    assert set(ON_THE_WAY) | stories | {"feed.numbered", "retain.batch"} == WEBHOOKS
    assert len(WEBHOOKS) == 24
