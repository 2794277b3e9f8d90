"""The failure cases of the delivery engine, F3 to F20 of webhooks.md §16.3, one test each (R7).

F1 and F2 are `test_killed_worker`, `test_random_kills` and `test_stopped_database`, F4 is `test_paused_worker`; F12,
F16 and F17 are tested with the planner, retention and the pull feed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from opentill.db import Database, Tx, Unavailable
from opentill.kernel.clock import DAY, HOUR, SECOND, Clock, Instant, SystemClock
from opentill.kernel.secret import Keyring, MasterKeys
from opentill.webhooks import service
from opentill.webhooks.model import Breaker, DeliveryState, Dialect, Options
from opentill.webhooks.queries import orphans
from opentill.webhooks.signing import body_hex
from tests.chaos.webhooks.loops import delivered, eventually, working
from tests.chaos.webhooks.test_flaky_receiver import facts
from tests.fakes.dns import ScriptedDns
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench, says

pytestmark = [pytest.mark.anyio, pytest.mark.bar("R7", gate=10, target=10, quick=1)]

# What becomes of each way to misbehave, and within which time; `timeout_s` is 1.
MODES = {
    "ok": "ok",
    "status:404": "http_4xx",
    "status:500": "http_5xx",
    "status:410": "gone",
    "retry_after:120": "slow_down",
    "redirect:http://127.0.0.1:1/": "redirect",
    "hang": "timeout_answer",
    "hang_after_headers": "ok",
    "drip:10": "ok",
    "endless_body": "ok",
    "big_body:1000000": "ok",
    "gzip_bomb": "ok",
    "endless_headers": "protocol",
    "many_headers:200": "protocol",
    "flood_1xx": "timeout_answer",
    "reset": "reset",
    "reset_after_headers": "ok",
    "reset_mid_body": "ok",
    "half_close": "ok",
    "http10": "ok",
    "not_http": "protocol",
    "empty_answer": "reset",
    "bad_length": "ok",
}
PATHS = {mode: f"/{number}" for number, mode in enumerate(MODES)}


@pytest.fixture
async def bench(database: Database) -> Bench:
    return await Bench(database).start()


class SteppingClock:
    """The machine's clock, set forwards or backwards by a test."""

    def __init__(self) -> None:
        self.off = 0

    def now(self) -> Instant:
        return Instant(SystemClock().now() + self.off)


async def no_orphans(bench: Bench, clock: Clock | None = None) -> bool:
    now = (clock or SystemClock()).now()
    return (await bench.db.read(lambda tx: orphans(tx, now=now))).total == 0


class CutOff:
    """A database whose connection is cut at the first write after a receiver was told, as seen by a worker."""

    def __init__(self, database: Database, receiver: Receiver) -> None:
        self._database, self._receiver = database, receiver
        self.cuts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, work: Callable[[Tx], Any]) -> Any:
        if self._receiver.requests and self.cuts < 3:
            self.cuts += 1
            raise Unavailable("the connection was cut")
        return await self._database.write(work)


@pytest.mark.checklist("F3")
async def test_f3_a_result_that_cannot_be_recorded_is_kept_and_recorded_later(database: Database) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/hook"))
        cut_off = CutOff(database, receiver)
        async with working(bench, cut_off):  # type: ignore[arg-type]
            await bench.happens(bench.event())
            await delivered(bench, 1, within_s=20)
        assert cut_off.cuts == 3
        assert len(receiver.requests) <= 2
    assert await no_orphans(bench)


@pytest.mark.checklist("F5")
@pytest.mark.parametrize("step", [HOUR, -HOUR, DAY, -DAY])
async def test_f5_a_clock_that_is_set_causes_neither_a_storm_nor_a_stall(database: Database, step: int) -> None:
    bench, clock = await Bench(database).start(), SteppingClock()
    async with Receiver() as receiver:
        receiver.script("/waits", "status:500", "ok")
        await bench.endpoint(receiver.url("/waits"), options=Options(schedule=(4, 4, 4), max_in_flight=1))
        await bench.endpoint(receiver.url("/well"))
        async with working(bench, database, clock=clock, trusts_database_clock=False):
            (before,) = await bench.happens(bench.event(object_id="before"))
            await receiver.wait_for(2, within_s=10)
            failed_at = time.monotonic()
            await asyncio.sleep(1.2)
            clock.off = step
            (after,) = await bench.happens(bench.event(object_id="after"))
            await receiver.wait_for(3, within_s=5)
            await delivered(bench, 4, within_s=20)

        tries = [r.at for r in receiver.requests if (r.path, r.header("webhook-id")) == ("/waits", before)]
        assert len(tries) == 2
        assert 2.5 < tries[1] - failed_at < 9
        assert len(receiver.requests) <= 5
        assert after in {request.header("webhook-id") for request in receiver.requests}


@pytest.mark.checklist("F7", "X49")
@pytest.mark.parametrize("mode", MODES)
async def test_f7_every_way_to_misbehave_ends_in_time_with_the_right_outcome(database: Database, mode: str) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        receiver.script(PATHS[mode], mode)
        await bench.endpoint(receiver.url(PATHS[mode]), options=Options(timeout_s=1, schedule=()))
        await bench.happens(bench.event())
        async with working(bench, database):

            async def finished() -> bool:
                return bool(await bench.rows("select 1 from webhook_delivery where finished_at is not null"))

            took_s = await eventually(finished, within_s=8)
        (attempt,) = await bench.attempts()
    assert attempt["outcome"] == MODES[mode]
    assert attempt["duration_us"] < (2 if MODES[mode] != "ok" else 3.5) * SECOND
    assert took_s < 6


@pytest.mark.checklist("F8")
async def test_f8_endpoints_that_hang_and_drip_delay_only_their_own_lanes(database: Database, bar_size: int) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        receiver.script("/hangs", "hang")
        receiver.script("/drips", "drip:10")
        for n in range(6):
            await bench.endpoint(receiver.url(f"/healthy-{n}"))
        async with working(bench, database):
            await facts(bench, 10 * bar_size)
            normal_s = await delivered(bench, 60 * bar_size, within_s=30)
        for path in ("/hangs", "/drips"):
            await bench.endpoint(receiver.url(path), options=Options(timeout_s=10))
        async with working(bench, database):
            await facts(bench, 10 * bar_size)
            beside_s = await delivered(bench, 120 * bar_size, within_s=30)
            assert beside_s < 2 * normal_s + 1.0


@pytest.mark.checklist("F9")
async def test_f9_a_large_backlog_of_one_endpoint_does_not_delay_another(database: Database, bar_size: int) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        receiver.script("/backlog", "slow:0.2")
        await bench.endpoint(receiver.url("/backlog"), options=Options(max_in_flight=1))
        await facts(bench, 1_000 * bar_size)
        while (await bench.plan()).seqs:
            pass
        await bench.endpoint(receiver.url("/other"))
        async with working(bench, database):
            await receiver.wait_for(1)
            began = time.monotonic()
            await bench.happens(bench.event(object_id="new"))
            while not any(request.path == "/other" for request in receiver.requests):
                # Behind the backlog it would come after minutes; the bar for how soon is P36.
                assert time.monotonic() - began < 5
                await asyncio.sleep(0.002)


@pytest.mark.checklist("F10")
async def test_f10_after_hours_away_the_breaker_lets_one_through_then_more_and_all_arrive(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=8, schedule=(60,) * 20))
    bench.receiver.answers[endpoint.url] = lambda _: says(500)
    await facts(bench, 100)
    while (await bench.plan()).seqs:
        pass
    until = bench.clock.now() + 2 * HOUR
    while bench.clock.now() < until:
        await bench.claim_and_complete()
        bench.clock.advance(30 * SECOND)
    assert len(bench.receiver.requests) < 60
    (lane,) = await bench.rows("select breaker from webhook_lane")
    assert lane["breaker"] == Breaker.OPEN

    bench.receiver.answers[endpoint.url] = lambda _: says(200)
    at_once = []
    while len([row for row in await bench.deliveries() if row["state"] == DeliveryState.DELIVERED]) < 100:
        at_once.append(await bench.claim_and_complete())
        bench.clock.advance(30 * SECOND)
    ramp = [n for n in at_once if n]
    assert ramp[0] == 1
    assert max(ramp) <= 8
    assert all(later <= 2 * max(ramp[: i + 1]) for i, later in enumerate(ramp[1:]))


@pytest.mark.checklist("F11")
@pytest.mark.parametrize("change", ["deleted", "paused", "rotated"])
async def test_f11_an_endpoint_that_changes_while_attempts_are_in_flight(bench: Bench, change: str) -> None:
    endpoint, old = await bench.endpoint()
    await bench.happens(bench.event())
    await bench.plan()
    (job,) = await bench.claim()
    result = await bench.send(job)
    engine, secret = bench.engine, old

    def make(tx: Tx) -> None:
        nonlocal secret
        if change == "deleted":
            service.delete_endpoint(
                tx,
                owner=bench.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=endpoint.id,
                ids=engine.ids,
                now=engine.clock.now(),
            )
        elif change == "paused":
            service.set_active(
                tx,
                owner=bench.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=endpoint.id,
                active=False,
                ids=engine.ids,
                now=engine.clock.now(),
            )
        else:
            secret = service.rotate_secret(
                tx,
                owner=bench.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=endpoint.id,
                ids=engine.ids,
                keyring=engine.keyring,
                now=engine.clock.now(),
            ).secret

    await bench.db.write(make)
    await bench.complete(result)
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == (DeliveryState.CANCELLED if change == "deleted" else DeliveryState.DELIVERED)
    assert dict(bench.receiver.requests[0].headers)["X-OP-Signature"] == body_hex(old, job.body)
    if change == "rotated":
        await bench.happens(bench.event(object_id="next"))
        await bench.plan()
        await bench.deliver()
        request = bench.receiver.requests[-1]
        assert dict(request.headers)["X-OP-Signature"] == body_hex(secret, request.body or b"")


@pytest.mark.checklist("F14")
async def test_f14_without_any_bell_the_poll_finds_what_is_due_within_a_second(database: Database) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        await bench.endpoint(receiver.url("/hook"))
        async with working(bench, database) as engine:
            await asyncio.sleep(1.2)
            engine.to_plan.ring = engine.to_send.ring = lambda *_: None  # type: ignore[method-assign]
            began = time.monotonic()
            await bench.happens(bench.event())
            await delivered(bench, 1, within_s=4)
            assert time.monotonic() - began < 2.6


@pytest.mark.checklist("F18")
async def test_f18_a_replay_cancelled_resumed_and_killed_sends_each_event_once_and_delays_no_live_event(
    database: Database, bar_size: int
) -> None:
    bench = await Bench(database).start()
    count = 60 * bar_size
    async with Receiver() as receiver:
        endpoint, _ = await bench.endpoint(receiver.url("/hook"), options=Options(max_in_flight=8))
        since = bench.clock.now()
        await facts(bench, count)
        async with working(bench, database):
            await delivered(bench, count, within_s=60)
        place = {"owner": bench.owner, "now": SystemClock().now()}
        replay_id = await bench.db.write(
            lambda tx: service.replay_all(
                tx,
                dialect=Dialect.MERCHANT,
                endpoint_id=endpoint.id,
                since=since,
                ids=bench.engine.ids,
                rate_per_s=100,
                **place,
            )
        )
        async with working(bench, database):
            await asyncio.sleep(0.6)
        await bench.db.write(lambda tx: service.cancel_replay(tx, replay_id=replay_id, **place))
        await bench.db.write(lambda tx: service.resume_replay(tx, replay_id=replay_id, **place))
        async with working(bench, database):
            began = time.monotonic()
            (live,) = await bench.happens(bench.event(object_id="live"))
            while live not in {request.header("webhook-id") for request in receiver.requests}:
                assert time.monotonic() - began < 2
                await asyncio.sleep(0.01)
            await delivered(bench, 2 * count + 1, within_s=30 + count / 50)
        ids = Counter(request.header("webhook-id") for request in receiver.requests)
        assert set(ids.values()) == {1, 2}
        assert [event for event, n in ids.items() if n == 1] == [live]


@pytest.mark.checklist("F19")
async def test_f19_master_keys_that_rotate_meanwhile_fail_no_signature(database: Database, bar_size: int) -> None:
    bench = await Bench(database).start()
    old, new = bytes(32), bytes(range(32))
    both = Keyring(MasterKeys({"k1": old, "k2": new}, current="k2", pepper=bytes(32)))
    async with Receiver() as receiver:
        _, secret = await bench.endpoint(receiver.url("/hook"), options=Options(max_in_flight=50))
        bench.engine.keyring = both
        async with working(bench, database):
            recording = asyncio.create_task(facts(bench, 200 * bar_size))
            for _ in range(5):
                await bench.db.write(lambda tx: reseal(tx, both))
                await asyncio.sleep(0.1)
            await recording
            await delivered(bench, 200 * bar_size, within_s=60)
        assert {row["outcome"] for row in await bench.rows("select outcome from webhook_attempt")} == {"ok"}
        for request in receiver.requests:
            assert request.header("X-OP-Signature") == body_hex(secret, request.body)


def reseal(tx: Tx, keyring: Keyring) -> None:
    """Seal every secret anew, as `opentill keys rotate` does, row by row."""
    for row in tx.all("select id, endpoint_id, sealed from webhook_secret"):
        context = f"webhook_secret.sealed/{row['endpoint_id']}/{row['id']}"
        sealed = keyring.seal(keyring.open_secret(row["sealed"], context), context)
        tx.run("update webhook_secret set sealed = :sealed where id = :id", sealed=sealed, id=row["id"])


@pytest.mark.checklist("F20")
async def test_f20_a_name_that_does_not_resolve_delays_only_its_own_lane(database: Database) -> None:
    dns, bench = ScriptedDns({"healthy.test": ["127.0.0.1"]}), await Bench(database).start()
    many: Sequence[str] = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(1_000)]
    dns.answers("many.test", many)
    dns.hang("slow.test")
    async with Receiver(name="healthy.test") as receiver:
        for name in ("slow.test", "none.test", "many.test"):
            await bench.endpoint(f"http://{name}:{receiver.port}/", options=Options(timeout_s=2, schedule=()))
        await bench.endpoint(receiver.url("/hook"), options=Options(max_in_flight=8))
        async with working(bench, database, lookup=dns):
            began = time.monotonic()
            await facts(bench, 20)
            await delivered(bench, 20, within_s=10)
            assert time.monotonic() - began < 3
            assert dns.running_max <= 16
            dns.release()
    refused = await bench.rows("select distinct outcome from webhook_attempt where outcome <> 'ok'")
    assert {row["outcome"] for row in refused} <= {"timeout_dns", "dns_failed", "blocked_address", "timeout_answer"}


def test_the_modes_are_those_of_the_receiver(bar_note: Callable[[str], None]) -> None:
    bar_note(f"{len(MODES)} ways to misbehave")
    assert len(set(PATHS.values())) == len(MODES)
