"""Many at once: activation, recovery and replays, by jobs that survive any death (webhooks.md §5.7, §5.8)."""

import asyncio
import threading
from typing import Any

import pytest

from opentill.events import document_of
from opentill.kernel.clock import HOUR, MINUTE, SECOND, Instant
from opentill.kernel.errors import Invalid
from opentill.webhooks import planning, replaying, service
from opentill.webhooks.model import (
    BOUNDS,
    DeliveryState,
    Dialect,
    Endpoint,
    EndpointState,
    Klass,
    Options,
    Origin,
    Recover,
)
from opentill.webhooks.queries import orphans
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.workers import replay as worker
from tests.usecases.webhooks.engine import Bench, Counted, says
from tests.waiting import until_somebody_waits

pytestmark = pytest.mark.anyio

DUE, DELIVERED, DEAD, HELD, CANCELLED = (
    DeliveryState.DUE,
    DeliveryState.DELIVERED,
    DeliveryState.DEAD,
    DeliveryState.HELD,
    DeliveryState.CANCELLED,
)


def by(bench: Bench, endpoint: Endpoint) -> dict[str, Any]:
    """Return what every use case here is told."""
    return {
        "owner": bench.owner,
        "dialect": endpoint.dialect,
        "endpoint_id": endpoint.public_id,
        "ids": bench.engine.ids,
        "now": bench.clock.now(),
    }


async def happen(bench: Bench, count: int, name: str = "p") -> list[str]:
    ids = await bench.happens(*[bench.event(object_id=f"{name}-{n}") for n in range(count)])
    while (await bench.plan()).seqs:
        pass
    return ids


async def run_jobs(bench: Bench, steps: int = 1_000) -> int:
    """Take steps until no job is left, letting their pace pass; return how many it took."""
    for taken in range(steps):
        if not await bench.rows("select 1 from webhook_replay where state = 0"):
            return taken
        await worker.step(bench.engine)
        bench.clock.advance(SECOND)
    raise AssertionError("the jobs do not end")


async def states(bench: Bench) -> list[int]:
    return [row["state"] for row in await bench.deliveries()]


async def deliver_all(bench: Bench) -> None:
    while await bench.claim_and_complete():
        pass


@pytest.mark.parametrize("count", [3, 600])
async def test_activating_without_recovery_sets_the_old_aside_and_lets_the_new_flow(bench: Bench, count: int) -> None:
    endpoint, _ = await bench.endpoint()
    await happen(bench, count)
    await bench.sets_active(endpoint.id, active=False)
    await happen(bench, 2, "held")

    await bench.sets_active(endpoint.id, active=True)
    await happen(bench, 1, "new")
    if count > 500:
        assert await bench.claim() == []
        assert (await bench.rows("select state from webhook_endpoint"))[0]["state"] == EndpointState.ACTIVATING
    await run_jobs(bench)

    assert await states(bench) == [HELD] * (count + 2) + [DUE]
    assert (await bench.rows("select state from webhook_endpoint"))[0]["state"] == EndpointState.ACTIVE
    assert len(await bench.claim()) == 1


async def test_activating_with_recovery_sends_everything_missed(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=50))
    await happen(bench, 2)
    await bench.sets_active(endpoint.id, active=False)
    missed = await happen(bench, 700, "held")
    await bench.sets_active(endpoint.id, active=True, recover=Recover.ALL)
    await run_jobs(bench)

    assert {row["klass"] for row in await bench.deliveries()} == {Klass.FIRST_TRY, Klass.BULK}
    await deliver_all(bench)
    assert set(await states(bench)) == {DELIVERED}
    assert set(missed) <= set(bench.receiver.event_ids())


async def test_activating_with_recovery_since_an_instant_sends_what_happened_from_then_on(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await happen(bench, 2, "due")
    await bench.sets_active(endpoint.id, active=False)
    await happen(bench, 2, "old")
    since = bench.clock.advance(HOUR)
    await happen(bench, 2, "new")

    await bench.sets_active(endpoint.id, active=True, recover=Recover.SINCE, since=since)
    await run_jobs(bench)

    assert await states(bench) == [HELD] * 4 + [DUE] * 2


async def test_pausing_while_activating_ends_the_decision(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.sets_active(endpoint.id, active=False)
    await happen(bench, 3)
    await bench.sets_active(endpoint.id, active=True, recover=Recover.ALL)
    await bench.sets_active(endpoint.id, active=False)

    await run_jobs(bench)
    assert await states(bench) == [HELD] * 3


async def test_deleting_an_endpoint_cancels_everything_however_much_waits(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await happen(bench, 700)
    await bench.sets_active(endpoint.id, active=False)
    await happen(bench, 10, "held")
    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.delete_endpoint(tx, **arguments))
    await run_jobs(bench)

    assert set(await states(bench)) == {CANCELLED}
    assert (await bench.db.read(lambda tx: orphans(tx, now=Instant(bench.clock.now() + HOUR)))).total == 0


async def test_recovering_since_an_instant_sends_held_dead_and_never_planned_events_once(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint("https://shop.example/hook", options=Options(schedule=(), max_in_flight=50))
    await happen(bench, 1, "too-old")
    await deliver_all(bench)
    since = bench.clock.advance(MINUTE)
    delivered = await happen(bench, 2, "delivered")
    await deliver_all(bench)
    bench.receiver.answers[endpoint.url] = lambda _: says(404)
    dead = await happen(bench, 3, "dead")
    await deliver_all(bench)
    await bench.sets_active(endpoint.id, active=False)
    held = await happen(bench, 3, "held")
    await bench.sets_active(endpoint.id, active=True)
    bench.receiver.answers[endpoint.url] = lambda _: says(200)
    bench.receiver.requests.clear()

    arguments = by(bench, endpoint)
    replay_id = await bench.db.write(
        lambda tx: service.recover(tx, rate_per_s=BOUNDS.replay_rate, since=since, **arguments)
    )
    await run_jobs(bench)
    await deliver_all(bench)

    assert sorted(bench.receiver.event_ids()) == sorted([*dead, *held])
    assert set(await states(bench)) == {DELIVERED}
    assert not set(delivered) & set(bench.receiver.event_ids())
    (replay,) = await bench.db.read(lambda tx: service.replays_of(tx, **without_ids(arguments)))
    assert (replay.id, replay.queued, replay.state.name) == (replay_id, 6, "DONE")


def without_ids(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in ("owner", "dialect", "endpoint_id")}


async def test_a_recovered_delivery_has_its_whole_schedule_before_it(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(schedule=(60,)))
    bench.receiver.answers[endpoint.url] = lambda _: says(404)
    await happen(bench, 1)
    await deliver_all(bench)
    bench.clock.advance(HOUR)
    await deliver_all(bench)
    assert await states(bench) == [DEAD]

    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.recover(tx, rate_per_s=BOUNDS.replay_rate, since=None, **arguments))
    await run_jobs(bench)
    await deliver_all(bench)
    assert await states(bench) == [DUE]
    bench.clock.advance(HOUR)
    await deliver_all(bench)
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"]) == (DEAD, 4)


async def test_replaying_what_is_missing_includes_events_older_than_the_endpoint(bench: Bench) -> None:
    old = await happen(bench, 5)
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=50))
    await happen(bench, 1, "new")
    await deliver_all(bench)
    bench.receiver.requests.clear()
    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.recover(tx, rate_per_s=BOUNDS.replay_rate, since=None, **arguments))
    await run_jobs(bench)
    await deliver_all(bench)

    assert sorted(bench.receiver.event_ids()) == sorted(old)
    assert {row["origin"] for row in await bench.deliveries()} == {Origin.EVENT, Origin.REPLAY}


async def test_what_an_operational_endpoint_misses_is_sent_but_not_its_own_trouble(bench: Bench) -> None:
    gone, _ = await bench.endpoint(options=Options(schedule=()))
    silent, _ = await bench.operational(options=Options(schedule=()))
    for url in (gone.url, silent.url):
        bench.receiver.answers[url] = lambda _: says(404)
    for n in range(5):
        await happen(bench, 1, f"p{n}")
        await deliver_all(bench)
        bench.clock.advance(3 * MINUTE)
    await bench.plan()
    late, _ = await bench.operational("https://other.example/ops")
    bench.receiver.requests.clear()

    arguments = by(bench, late)
    await bench.db.write(lambda tx: service.recover(tx, rate_per_s=BOUNDS.replay_rate, since=None, **arguments))
    await run_jobs(bench)
    await deliver_all(bench)

    notices = [document_of(bytes(row["doc"])) for row in await bench.rows("select doc from event where audience = 1")]
    assert any(notice.get("by_mail_only") for notice in notices)
    heard = [request.body or b"" for request in bench.receiver.requests if request.url == late.url]
    assert len(heard) == len([notice for notice in notices if not notice.get("by_mail_only")]) > 0
    assert not any(silent.public_id.encode() in body for body in heard if b"endpoint.failing" in body)
    counted = await bench.db.read(lambda tx: service.events_since(tx, late, since=Instant(0)))
    assert counted == len(notices)


async def test_replaying_everything_sends_delivered_events_again_with_the_same_ids_and_bytes(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=50))
    since = bench.clock.now()
    ids = await happen(bench, 4)
    await deliver_all(bench)
    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.replay_all(tx, rate_per_s=BOUNDS.replay_rate, since=since, **arguments))
    await run_jobs(bench)
    await deliver_all(bench)

    assert sorted(bench.receiver.event_ids()) == sorted(ids * 2)
    assert len({(dict(r.headers)["webhook-id"], r.body) for r in bench.receiver.requests}) == 4


async def test_resending_what_a_filter_shows_makes_one_attempt_each(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(schedule=(), max_in_flight=50))
    bench.receiver.answers[endpoint.url] = lambda _: says(404)
    await happen(bench, 4)
    await deliver_all(bench)
    arguments = by(bench, endpoint)
    await bench.db.write(
        lambda tx: service.resend_matching(tx, rate_per_s=BOUNDS.replay_rate, states=[DEAD], **arguments)
    )
    await run_jobs(bench)
    await deliver_all(bench)

    assert [(row["state"], row["attempts"]) for row in await bench.deliveries()] == [(DEAD, 2)] * 4


async def test_a_replay_keeps_its_pace(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=50))
    since = bench.clock.now()
    await happen(bench, 60)
    await deliver_all(bench)
    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.replay_all(tx, since=since, rate_per_s=20, **arguments))

    began = bench.clock.now()
    while await bench.rows("select 1 from webhook_replay where state = 0"):
        await worker.step(bench.engine)
        bench.clock.advance(SECOND // 20)
        queued = (await bench.rows("select queued from webhook_replay"))[0]["queued"]
        assert queued <= 5 + 20 * (bench.clock.now() - began) / SECOND
    assert bench.clock.now() - began >= 2 * SECOND
    with pytest.raises(Invalid):
        await bench.db.write(lambda tx: service.replay_all(tx, since=since, rate_per_s=501, **arguments))


async def test_a_cancelled_replay_stops_and_a_resumed_one_sends_each_event_once(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=50))
    since = bench.clock.now()
    await happen(bench, 40)
    await deliver_all(bench)
    arguments = by(bench, endpoint)
    replay_id = await bench.db.write(
        lambda tx: service.replay_all(tx, rate_per_s=BOUNDS.replay_rate, since=since, **arguments)
    )
    await worker.step(bench.engine)
    place = {"owner": bench.owner, "replay_id": replay_id, "now": bench.clock.now()}
    await bench.db.write(lambda tx: service.cancel_replay(tx, **place))
    assert await run_jobs(bench) == 0
    half = len(await bench.deliveries())
    assert 40 < half < 80

    await bench.db.write(lambda tx: service.resume_replay(tx, **place))
    await run_jobs(bench)
    assert len(await bench.deliveries()) == 80
    other = await bench.new_merchant("Outra")
    with pytest.raises(service.ReplayNotFound):
        await bench.db.write(
            lambda tx: service.cancel_replay(tx, owner=other.owner, replay_id=replay_id, now=bench.clock.now())
        )


async def test_a_step_whose_process_dies_is_taken_again_and_nothing_comes_twice(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(max_in_flight=50))
    since = bench.clock.now()
    await happen(bench, 10)
    await deliver_all(bench)
    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.replay_all(tx, rate_per_s=BOUNDS.replay_rate, since=since, **arguments))

    class DiedError(Exception):
        pass

    def dies(tx: Any) -> None:
        replaying.step(tx, now=bench.clock.now(), ids=bench.engine.ids)
        raise DiedError

    with pytest.raises(DiedError):
        await bench.db.write(dies)
    await run_jobs(bench)
    assert len(await bench.deliveries()) == 20


async def test_a_replay_waits_while_its_endpoint_is_out_of_service(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(dialect=Dialect.MERCHANT, options=Options(max_in_flight=50))
    since = bench.clock.now()
    await happen(bench, 3)
    await deliver_all(bench)
    arguments = by(bench, endpoint)
    await bench.db.write(lambda tx: service.replay_all(tx, rate_per_s=BOUNDS.replay_rate, since=since, **arguments))
    await bench.sets_active(endpoint.id, active=False)
    for _ in range(20):
        await worker.step(bench.engine)
        bench.clock.advance(SECOND)
    assert len(await bench.deliveries()) == 3
    await bench.sets_active(endpoint.id, active=True)
    await run_jobs(bench)
    assert len(await bench.deliveries()) == 6


class Held(Counted):
    """A transaction that waits before it inserts deliveries."""

    def __init__(self, tx: Any) -> None:
        super().__init__(tx)
        self.comes, self.goes_on = threading.Event(), threading.Event()

    def all(self, sql: str, /, **params: object) -> Any:
        if "insert into webhook_delivery" in sql:
            self.comes.set()
            assert self.goes_on.wait(10)
        return super().all(sql, **params)


@pytest.mark.parametrize("deleted", [False, True])
async def test_what_is_planned_while_an_endpoint_is_activated_or_deleted_shares_its_lot(
    bench: Bench, deleted: bool
) -> None:
    endpoint, _ = await bench.endpoint()
    if not deleted:
        await bench.sets_active(endpoint.id, active=False)
    await bench.happens(bench.event())
    engine, planners = bench.engine, list[Held]()

    def plan_slowly(tx: Any) -> None:
        planners.append(Held(tx))
        planning.plan(planners[0], ids=engine.ids, keyring=engine.keyring, now=bench.clock.now())

    planned = asyncio.create_task(bench.db.write(plan_slowly))
    while not planners or not planners[0].comes.is_set():  # noqa: ASYNC110 - it is set on another thread
        await asyncio.sleep(0.01)
    if deleted:
        change = bench.db.write(lambda tx: service.delete_endpoint(tx, **by(bench, endpoint)))
    else:
        change = bench.sets_active(endpoint.id, active=True, recover=Recover.ALL)  # type: ignore[assignment]
    changed = asyncio.create_task(change)
    await until_somebody_waits(bench.db)
    planners[0].goes_on.set()
    await asyncio.gather(planned, changed)
    await run_jobs(bench)
    assert await states(bench) == [CANCELLED if deleted else DUE]


async def test_a_state_the_owner_has_changed_meanwhile_is_left_alone(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.sets_active(endpoint.id, active=False)

    def moved(state: EndpointState, among: list[EndpointState]) -> Any:
        return bench.db.write(
            lambda tx: endpoint_store.set_state(
                tx, endpoint.id, state, reason=None, now=bench.clock.now(), among_states=among
            )
        )

    assert not await moved(EndpointState.DISABLED, [EndpointState.ACTIVE, EndpointState.ACTIVATING])
    assert not await moved(EndpointState.ACTIVE, [EndpointState.ACTIVATING])
    assert (await bench.rows("select state from webhook_endpoint"))[0]["state"] == EndpointState.PAUSED


@pytest.mark.parametrize("kind", ["matching", "activate"])
async def test_a_job_that_wants_few_of_many_looks_through_a_stretch_in_a_step(bench: Bench, kind: str) -> None:
    endpoint, _ = await bench.endpoint()
    await happen(bench, 1)
    await bench.db.write(
        lambda tx: tx.run(
            """
            insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, origin,
                                          state, created_at)
            with recursive n (i) as (select 1 union all select i + 1 from n where i < :count)
            select 'dlv_done' || cast(i as text), 1, :endpoint_id, 'payment.completed', 'pix/1', 'x', 2, 2, 0 from n
            """,
            endpoint_id=endpoint.id,
            count=2 * replaying.STRETCH,
        )
    )
    last = await happen(bench, 1, "last")
    state = HELD if kind == "activate" else DEAD
    await bench.db.write(
        lambda tx: tx.run(
            "update webhook_delivery set state = :state where event_seq = (select seq from event where id = :id)",
            state=int(state),
            id=last[0],
        )
    )
    if kind == "activate":
        await bench.sets_active(endpoint.id, active=False)
        await bench.sets_active(endpoint.id, active=True, recover=Recover.ALL)
    else:
        named = by(bench, endpoint)
        await bench.db.write(
            lambda tx: service.resend_matching(tx, rate_per_s=BOUNDS.replay_rate, **named, states=[DEAD])
        )
    assert await run_jobs(bench) == 3
    (row,) = await bench.rows(
        "select state, klass from webhook_delivery where event_seq = (select seq from event where id = :id)", id=last[0]
    )
    assert (row["state"], row["klass"]) == (DUE, Klass.BULK)
