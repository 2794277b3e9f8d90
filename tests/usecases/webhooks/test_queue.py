"""Claims, leases, order, schedules and the breaker, one step at a time."""

import json

import pytest

from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND
from opentill.outbound.outcomes import Outcome
from opentill.webhooks import queue, service
from opentill.webhooks.model import (
    DEFAULTS,
    LEASE_S,
    Breaker,
    DeliveryState,
    Dialect,
    EndpointState,
    Job,
    Klass,
    Options,
    Ordering,
)
from opentill.webhooks.queries import oldest_due_us, orphans
from opentill.webhooks.schedules import SCHEDULES
from tests.contract.webhooks import documents as doc
from tests.usecases.webhooks.engine import Bench, fails, says

pytestmark = pytest.mark.anyio

URL = "https://shop.example/hook"


async def waiting(bench: Bench, count: int, *, same_object: bool = False, options: Options = DEFAULTS) -> None:
    """Register an endpoint and plan so many deliveries for it."""
    await bench.endpoint(URL, options=options)
    await more(bench, count, same_object=same_object)


async def more(bench: Bench, count: int, *, same_object: bool = False) -> None:
    await bench.happens(*[bench.event(object_id="payment-1" if same_object else f"payment-{n}") for n in range(count)])
    await bench.plan()


async def lane(bench: Bench) -> dict[str, object]:
    (row,) = await bench.rows("select * from webhook_lane")
    return row


# Claims and leases.


async def test_no_more_run_at_once_than_the_endpoint_allows(bench: Bench) -> None:
    await waiting(bench, 9, options=Options(max_in_flight=3))
    first = await bench.claim()
    assert len(first) == 3
    assert await bench.claim(worker="worker-2") == []
    await bench.complete(*[await bench.send(job) for job in first[:2]])
    assert len(await bench.claim(worker="worker-2")) == 2


async def test_two_workers_are_granted_different_deliveries(bench: Bench) -> None:
    await waiting(bench, 8, options=Options(max_in_flight=50))
    one = await bench.claim(worker="worker-1", free=3)
    two = await bench.claim(worker="worker-2", free=8)
    assert (len(one), len(two)) == (3, 5)
    assert {job.claimed.id for job in one} & {job.claimed.id for job in two} == set()


@pytest.mark.checklist("M48")
async def test_a_worker_that_does_not_report_loses_its_claim_and_its_late_result_changes_nothing(
    bench: Bench,
) -> None:
    await waiting(bench, 1)
    (job,) = await bench.claim()
    late = await bench.send(job)
    bench.clock.advance(LEASE_S * SECOND + 1)
    assert await reclaim(bench) == 1

    (again,) = await bench.claim(worker="worker-2")
    done = await bench.complete(late)
    assert done.fenced == {job.claimed.id}
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"], delivery["lost"]) == (DeliveryState.SENDING, 0, 1)

    await bench.complete(await bench.send(again))
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"], delivery["claim_gen"]) == (DeliveryState.DELIVERED, 1, 2)
    log = [(a["outcome"], a["fenced"], a["claim_gen"]) for a in await bench.attempts()]
    assert sorted(log) == [("lost", 0, 1), ("ok", 0, 2), ("ok", 1, 1)]
    first, second = bench.receiver.requests
    assert (first.body, first.url) == (second.body, second.url)


async def test_a_heartbeat_keeps_a_claim_alive(bench: Bench) -> None:
    await waiting(bench, 1)
    (job,) = await bench.claim()
    bench.clock.advance(50 * SECOND)
    assert await beats(bench, job) == 1
    bench.clock.advance(50 * SECOND)
    assert await reclaim(bench) == 0


async def test_what_a_living_worker_lost_on_the_way_is_taken_back(bench: Bench) -> None:
    await waiting(bench, 2)
    lost, sending = await bench.claim()
    bench.clock.advance(50 * SECOND)
    assert await beats(bench, sending) == 1
    bench.clock.advance(11 * SECOND)
    assert await reclaim(bench) == 1
    (again,) = await bench.claim(worker="worker-2")
    assert again.claimed.id == lost.claimed.id


async def test_a_delivery_whose_bytes_cannot_be_made_keeps_no_other_waiting(bench: Bench) -> None:
    await waiting(bench, 3)
    broken = (await bench.deliveries())[0]["event_seq"]
    await bench.db.write(lambda tx: tx.run("delete from webhook_payload"))
    await bench.db.write(lambda tx: tx.run("update event set doc = :doc where seq = :seq", doc=b"{", seq=broken))

    for _ in range(4):
        await bench.claim_and_complete()
        bench.clock.advance(LEASE_S * SECOND + 1)
        await reclaim(bench)

    states = {row["event_seq"]: (row["state"], row["lost"]) for row in await bench.deliveries()}
    assert states.pop(broken) == (DeliveryState.DUE, 3)
    assert set(states.values()) == {(DeliveryState.DELIVERED, 0)}


async def beats(bench: Bench, *jobs: Job) -> int:
    """Tell that the worker still has some deliveries."""
    held, worker = [job.claimed.id for job in jobs], bench.engine.worker
    return await bench.db.write(lambda tx: queue.heartbeat(tx, held, worker=worker, now=bench.clock.now()))


async def test_the_start_of_the_only_process_takes_back_what_its_predecessor_was_sending(bench: Bench) -> None:
    await waiting(bench, 1)
    await bench.claim()
    assert await reclaim(bench) == 0
    assert await reclaim(bench, everything=True) == 1
    assert len(await bench.claim()) == 1


async def test_a_delivery_that_kills_its_worker_every_time_comes_to_an_end(bench: Bench) -> None:
    await waiting(bench, 1, options=Options(schedule=(1,)))
    states = []
    for _ in range(6):
        if await bench.claim():
            bench.clock.advance(LEASE_S * SECOND + 1)
            await reclaim(bench)
        bench.clock.advance(10 * SECOND)
        (delivery,) = await bench.deliveries()
        states.append((delivery["lost"], delivery["attempts"], delivery["state"]))
    due, dead = DeliveryState.DUE, DeliveryState.DEAD
    assert states[:4] == [(1, 0, due), (2, 0, due), (3, 1, due), (4, 2, dead)]
    assert states[5] == states[3]


async def test_a_claim_given_back_unsent_is_due_again_and_no_attempt(bench: Bench) -> None:
    await waiting(bench, 1)
    (job,) = await bench.claim()
    await bench.complete((await bench.send(job))._replace(outcome="dropped", status=None))
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"], delivery["last_outcome"]) == (DeliveryState.DUE, 0, None)
    assert await bench.attempts() == []
    assert len(await bench.claim()) == 1


async def test_a_paused_endpoint_is_not_claimed_and_goes_on_later(bench: Bench) -> None:
    await waiting(bench, 1)
    (endpoint,) = await bench.db.read(lambda tx: service.of_surface(tx, bench.owner, Dialect.MERCHANT))
    await bench.sets_active(endpoint.public_id, active=False)
    assert await bench.claim() == []
    await bench.sets_active(endpoint.public_id, active=True)
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.HELD
    await more(bench, 1)
    assert len(await bench.claim()) == 1


async def test_an_endpoint_deleted_during_an_attempt_stays_deleted(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(URL)
    await more(bench, 1)
    (job,) = await bench.claim()
    await bench.db.write(
        lambda tx: service.delete_endpoint(
            tx,
            ids=bench.engine.ids,
            owner=bench.owner,
            dialect=Dialect.MERCHANT,
            endpoint_id=endpoint.public_id,
            now=bench.clock.now(),
        )
    )
    done = await bench.complete(await bench.send(job))
    assert done.fenced == {job.claimed.id}
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.CANCELLED


# Order.


async def test_first_tries_of_one_object_go_out_in_order(bench: Bench) -> None:
    await waiting(bench, 3, same_object=True)
    bench.receiver.answers[URL] = lambda _: says(500)
    first = await bench.claim()
    assert len(first) == 1
    assert await bench.claim() == []
    await bench.complete(await bench.send(first[0]))
    second = await bench.claim()
    assert [job.claimed.event_seq for job in second] == [first[0].claimed.event_seq + 1]


async def test_strict_order_waits_for_the_end_of_the_head(bench: Bench) -> None:
    await waiting(bench, 2, same_object=True, options=Options(ordering=Ordering.STRICT, schedule=(60,)))
    bench.receiver.answers[URL] = lambda _: says(500)
    head = (await bench.claim())[0].claimed.id
    await bench.complete(*[await bench.send(job) for job in await again(bench, head)])
    assert await bench.claim() == []
    bench.clock.advance(2 * MINUTE)
    (retry,) = await bench.claim()
    assert retry.claimed.id == head
    await bench.complete(await bench.send(retry))
    (next_one,) = await bench.claim()
    assert next_one.claimed.id > head


async def again(bench: Bench, delivery_id: int) -> list[queue.Job]:
    return await bench.db.read(lambda tx: queue.jobs(tx, [delivery_id], now=bench.clock.now()))


async def test_without_order_deliveries_of_one_object_go_out_together(bench: Bench) -> None:
    await waiting(bench, 3, same_object=True, options=Options(ordering=Ordering.NONE))
    assert len(await bench.claim()) == 3


# Schedules.


@pytest.mark.checklist("M49", "X48")
@pytest.mark.parametrize("dialect", [Dialect.MERCHANT, Dialect.PIX])
async def test_a_schedule_runs_whole_within_its_jitter_and_then_the_delivery_is_dead(
    bench: Bench, dialect: Dialect
) -> None:
    await bench.endpoint(URL, dialect=dialect)
    await bench.happens(bench.event(pix="pix.charge.created", payment=doc.payment(), charge=doc.charge()))
    await bench.plan()
    bench.receiver.answers[URL] = lambda _: says(404)
    schedule = SCHEDULES[dialect]
    waits = []
    for _ in range(schedule.tries):
        began = bench.clock.now()
        (job,) = await bench.claim()
        result = await bench.send(job)
        await bench.complete(result)
        (delivery,) = await bench.deliveries()
        if delivery["state"] == DeliveryState.DUE:
            waits.append((delivery["due_at"] - result.ended_at) / SECOND)
            bench.clock.advance(delivery["due_at"] - began)

    assert (delivery["state"], delivery["reason"]) == (DeliveryState.DEAD, "exhausted")
    assert delivery["attempts"] == schedule.tries
    assert delivery["finished_at"] is not None
    for wait, planned in zip(waits, schedule.waits_s, strict=True):
        assert planned * (1 - schedule.jitter_below) <= wait <= planned * (1 + schedule.jitter_above)


@pytest.mark.checklist("X48")
async def test_an_owners_schedule_takes_the_place_of_the_dialects(bench: Bench) -> None:
    await waiting(bench, 1, options=Options(schedule=()))
    bench.receiver.answers[URL] = lambda _: says(500)
    await bench.deliver()
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.DEAD


@pytest.mark.checklist("X48")
async def test_retry_after_moves_the_next_try_and_closes_the_lane(bench: Bench) -> None:
    await waiting(bench, 2)
    bench.receiver.answers[URL] = lambda _: says(429, retry_after="600")
    job = (await bench.claim(free=1))[0]
    result = await bench.send(job)
    await bench.complete(result)
    deliveries = await bench.deliveries()
    assert deliveries[0]["due_at"] == result.ended_at + 600 * SECOND
    assert (await lane(bench))["open_at"] == result.ended_at + 600 * SECOND
    assert await bench.claim() == []
    bench.clock.advance(601 * SECOND)
    assert len(await bench.claim()) == 2


async def test_a_receiver_that_is_gone_disables_its_endpoint(bench: Bench) -> None:
    await waiting(bench, 2)
    bench.receiver.answers[URL] = lambda _: says(410)
    job = (await bench.claim(free=1))[0]
    done = await bench.complete(await bench.send(job))
    assert done.disabled == {job.endpoint.id}
    (endpoint,) = await bench.rows("select state, state_reason from webhook_endpoint")
    assert (endpoint["state"], endpoint["state_reason"]) == (EndpointState.DISABLED, "gone")
    assert (await bench.deliveries())[0]["state"] == DeliveryState.DEAD
    assert await bench.claim() == []


async def test_five_days_of_nothing_but_failures_disable_an_endpoint_however_often_we_restart(bench: Bench) -> None:
    await bench.endpoint(URL, options=Options(schedule=()))
    bench.receiver.answers[URL] = lambda _: says(404)
    for _ in range(11):
        await more(bench, 1)
        await bench.deliver()
        bench.clock.advance(12 * HOUR)
    (endpoint,) = await bench.rows("select state, state_reason, state_since from webhook_endpoint")
    assert (endpoint["state"], endpoint["state_reason"]) == (EndpointState.DISABLED, "failing")


async def test_one_success_sets_the_failure_clock_back(bench: Bench) -> None:
    await bench.endpoint(URL, options=Options(schedule=()))
    for day in range(12):
        bench.receiver.answers[URL] = lambda _, ok=day == 6: says(200 if ok else 404)
        await more(bench, 1)
        await bench.deliver()
        bench.clock.advance(12 * HOUR)
    (endpoint,) = await bench.rows("select state from webhook_endpoint")
    assert endpoint["state"] == EndpointState.ACTIVE


# The breaker.


async def test_a_broken_receiver_is_left_alone_then_tried_and_ramped_up(bench: Bench) -> None:
    await waiting(bench, 40, options=Options(max_in_flight=4))
    bench.receiver.answers[URL] = lambda _: fails(Outcome.TIMEOUT_ANSWER)
    await bench.deliver()
    await bench.deliver()
    assert (await lane(bench))["breaker"] == Breaker.OPEN
    attempts_before = len(await bench.attempts())
    assert await bench.claim() == []

    bench.clock.advance(31 * SECOND)
    del bench.receiver.answers[URL]
    sizes = []
    for _ in range(4):
        jobs = await bench.claim()
        sizes.append(len(jobs))
        await bench.complete(*[await bench.send(job) for job in jobs])
    assert sizes[:3] == [1, 1, 2]
    assert sizes[3] == 4
    assert (await lane(bench))["breaker"] == Breaker.CLOSED
    assert len(await bench.attempts()) == attempts_before + sum(sizes)


async def test_a_failed_trial_opens_the_breaker_for_longer(bench: Bench) -> None:
    await waiting(bench, 40, options=Options(max_in_flight=5))
    bench.receiver.answers[URL] = lambda _: fails(Outcome.TIMEOUT_CONNECT)
    await bench.deliver()
    opened = []
    for _ in range(3):
        now, row = bench.clock.now(), await lane(bench)
        opened.append(round((int(str(row["open_at"])) - now) / SECOND))
        bench.clock.advance(int(str(row["open_at"])) - now)
        sent = len(bench.receiver.requests)
        await bench.deliver()
        assert len(bench.receiver.requests) == sent + 1
    assert opened == [30, 60, 120]


async def test_refusals_of_single_events_do_not_open_the_breaker(bench: Bench) -> None:
    await waiting(bench, 40, options=Options(max_in_flight=20))
    bench.receiver.answers[URL] = lambda _: says(404)
    await bench.deliver()
    await bench.deliver()
    assert (await lane(bench))["breaker"] == Breaker.CLOSED


# Shares and turns.


async def test_retries_do_not_keep_first_tries_waiting_nor_the_other_way_round(bench: Bench) -> None:
    await waiting(bench, 20, options=Options(max_in_flight=10, schedule=(60, 60)))
    bench.receiver.answers[URL] = lambda _: says(404)
    await bench.deliver()
    bench.clock.advance(2 * MINUTE)
    classes = [job.claimed.klass for job in await bench.claim()]
    assert classes.count(Klass.FIRST_TRY) == 8
    assert classes.count(Klass.RETRY) == 2


async def test_a_merchant_with_many_endpoints_does_not_outrun_one_with_a_single(bench: Bench) -> None:
    for n in range(10):
        await bench.endpoint(f"https://many.example/{n}", options=Options(max_in_flight=20))
    other = await bench.new_merchant("Outra Loja")
    await bench.endpoint(URL, owner=other.owner, options=Options(max_in_flight=20))
    await bench.happens(*[bench.event(object_id=f"p-{n}") for n in range(20)])
    await bench.happens(*[bench.event(object_id=f"q-{n}", owner=other.owner) for n in range(20)])
    while (await bench.plan()).seqs:
        pass
    jobs = await bench.claim(free=24)
    mine = sum(job.claimed.owner == bench.owner for job in jobs)
    assert (mine, len(jobs) - mine) == (12, 12)


# The log.


async def test_the_attempt_log_holds_what_was_sent_and_answered_but_no_secrets(bench: Bench) -> None:
    _, secret = await bench.endpoint(URL)
    await more(bench, 1)
    bench.receiver.answers[URL] = lambda _: says(500, body=b"boom")
    await bench.deliver()
    (attempt,) = await bench.attempts()
    detail = json.loads(attempt["detail"])
    assert bytes(attempt["body"]) == b"boom"
    assert ["Set-Cookie", "•••"] in detail["answer_headers"]
    assert detail["url"] == URL
    assert detail["next"] > bench.clock.now()
    everything = json.dumps(detail)
    assert secret.reveal() not in everything
    assert "X-OwnPay-Signature" in everything


async def test_of_a_success_only_the_type_and_the_date_are_kept(bench: Bench) -> None:
    await waiting(bench, 1)
    await bench.deliver()
    (attempt,) = await bench.attempts()
    assert [name for name, _ in json.loads(attempt["detail"])["answer_headers"]] == ["Content-Type"]


async def test_bytes_that_are_no_longer_stored_are_rendered_again_the_same(bench: Bench) -> None:
    await waiting(bench, 1)
    bench.receiver.answers[URL] = lambda _: says(500)
    await bench.deliver()
    await bench.db.write(lambda tx: tx.run("delete from webhook_payload"))
    bench.clock.advance(2 * MINUTE)
    await bench.deliver()
    first, second = bench.receiver.requests
    assert first.body == second.body


async def test_a_secret_that_does_not_open_is_a_failed_attempt_and_nothing_is_sent(bench: Bench) -> None:
    await waiting(bench, 1)
    await bench.db.write(lambda tx: tx.run("update webhook_secret set sealed = 'v1.k1.AAAA'"))
    await bench.deliver()
    assert bench.receiver.requests == []
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["last_outcome"]) == (DeliveryState.DUE, "secret_failed")


# Figures.


async def test_the_engine_says_where_it_stands_and_finds_no_orphans(bench: Bench) -> None:
    await waiting(bench, 3)
    await bench.happens(bench.event(object_id="new"))
    bench.clock.advance(7 * SECOND)
    assert await bench.db.read(lambda tx: oldest_due_us(tx, now=bench.clock.now())) == 7 * SECOND
    assert (await bench.db.read(lambda tx: orphans(tx, now=bench.clock.now()))).total == 0
    bench.clock.advance(DAY)
    neglected = await bench.db.read(lambda tx: orphans(tx, now=bench.clock.now()))
    assert (neglected.unplanned, neglected.due) == (1, 3)


async def reclaim(bench: Bench, *, everything: bool = False) -> int:
    engine = bench.engine
    return await bench.db.write(
        lambda tx: queue.reclaim(
            tx, now=engine.clock.now(), ids=engine.ids, chance=engine.chance, everything=everything
        )
    )
