"""Sending one delivery again (webhooks.md §5.8)."""

import json
from typing import Any

import pytest

from opentill.kernel.clock import HOUR
from opentill.kernel.errors import Conflict
from opentill.webhooks import service
from opentill.webhooks.model import BOUNDS, DeliveryState, Endpoint, Options, Ordering, Origin
from opentill.webhooks.service import DeliveryNotFound, Final, InProgress, NotActive
from opentill.workers import replay
from tests.usecases.webhooks.engine import Bench, says

pytestmark = pytest.mark.anyio


async def resend(bench: Bench, delivery_id: int | str) -> int:
    return await bench.db.write(
        lambda tx: service.resend(tx, owner=bench.owner, delivery_id=delivery_id, now=bench.clock.now())
    )


async def redeliver(bench: Bench, delivery_id: str) -> tuple[str, str]:
    engine = bench.engine
    return await bench.db.write(
        lambda tx: service.redeliver(
            tx, owner=bench.owner, delivery_id=delivery_id, ids=engine.ids, now=bench.clock.now()
        )
    )


async def triggers(bench: Bench) -> list[str]:
    """Return what the log says each attempt was made for."""
    rows = await bench.rows("select detail from webhook_attempt order by id")
    return [json.loads(row["detail"])["trigger"] for row in rows]


async def one_delivery(bench: Bench, status: int, options: Options | None = None) -> tuple[Endpoint, dict[str, Any]]:
    """Deliver one event to a receiver that answers with a status; return its endpoint and its delivery."""
    endpoint, _ = await bench.endpoint(options=options or Options(schedule=()))
    bench.receiver.answers[endpoint.url] = lambda _: says(status)
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()
    return endpoint, (await bench.deliveries())[0]


async def test_a_dead_delivery_gets_one_more_attempt_whose_number_goes_on(bench: Bench) -> None:
    endpoint, delivery = await one_delivery(bench, 500)
    assert delivery["state"] == DeliveryState.DEAD

    await resend(bench, delivery["public_id"])
    await bench.deliver()
    (again,) = await bench.deliveries()
    assert (again["state"], again["attempts"]) == (DeliveryState.DEAD, 2)
    assert dict(bench.receiver.requests[-1].headers)["X-OwnPay-Attempt"] == "2"

    bench.receiver.answers[endpoint.url] = lambda _: says(200)
    await resend(bench, delivery["id"])
    await bench.deliver()
    (again,) = await bench.deliveries()
    assert (again["state"], again["attempts"]) == (DeliveryState.DELIVERED, 3)
    assert len({request.body for request in bench.receiver.requests}) == 1


async def test_the_log_says_what_each_attempt_was_made_for(bench: Bench) -> None:
    endpoint, delivery = await one_delivery(bench, 500)
    await resend(bench, delivery["public_id"])
    await bench.deliver()
    await redeliver(bench, delivery["public_id"])
    await bench.deliver()
    await bench.db.write(
        lambda tx: service.recover(
            tx,
            rate_per_s=BOUNDS.replay_rate,
            owner=bench.owner,
            dialect=endpoint.dialect,
            endpoint_id=endpoint.id,
            since=None,
            ids=bench.engine.ids,
            now=bench.clock.now(),
        )
    )
    await replay.step(bench.engine)
    await bench.deliver()
    assert await triggers(bench) == ["event", "resend", "redeliver", "replay"]


@pytest.mark.parametrize("status", [200, 500, 410])
async def test_a_delivered_one_stays_delivered_whatever_becomes_of_the_resend(bench: Bench, status: int) -> None:
    endpoint, delivery = await one_delivery(bench, 200)
    bench.receiver.answers[endpoint.url] = lambda _: says(status)

    await resend(bench, delivery["public_id"])
    await bench.deliver()

    (again,) = await bench.deliveries()
    assert (again["state"], again["attempts"]) == (DeliveryState.DELIVERED, 2)
    assert len(await bench.attempts()) == 2


async def test_a_delivery_that_waits_for_its_next_try_is_made_due_now_and_keeps_its_schedule(bench: Bench) -> None:
    _, delivery = await one_delivery(bench, 500, Options(schedule=(3600, 3600)))
    assert delivery["state"] == DeliveryState.DUE

    await resend(bench, delivery["public_id"])
    await bench.deliver()
    (again,) = await bench.deliveries()
    assert (again["state"], again["attempts"]) == (DeliveryState.DUE, 2)
    bench.clock.advance(2 * HOUR)
    await bench.deliver()
    assert (await bench.deliveries())[0]["state"] == DeliveryState.DEAD
    assert await triggers(bench) == ["event", "resend", "event"]


async def test_nothing_is_sent_again_while_it_is_under_way_or_due(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event())
    await bench.plan()
    (delivery,) = await bench.deliveries()
    for again in (resend, redeliver):
        with pytest.raises(InProgress):
            await again(bench, delivery["public_id"])
    await bench.claim()
    for again in (resend, redeliver):
        with pytest.raises(InProgress):
            await again(bench, delivery["public_id"])


async def test_another_merchant_s_delivery_is_not_found(bench: Bench) -> None:
    _, delivery = await one_delivery(bench, 500)
    other = await bench.new_merchant("Outra Loja")
    with pytest.raises(DeliveryNotFound):
        await bench.db.write(
            lambda tx: service.resend(tx, owner=other.owner, delivery_id=delivery["public_id"], now=bench.clock.now())
        )


async def test_what_a_paused_or_deleted_endpoint_did_not_get_is_not_sent_again(bench: Bench) -> None:
    endpoint, delivery = await one_delivery(bench, 500)
    await bench.sets_active(endpoint.id, active=False)
    for again in (resend, redeliver):
        with pytest.raises(NotActive):
            await again(bench, delivery["public_id"])


async def test_a_redelivery_is_a_new_delivery_of_the_same_event_and_bytes_with_a_whole_schedule(bench: Bench) -> None:
    _, delivery = await one_delivery(bench, 500, Options(schedule=(60,)))
    bench.clock.advance(HOUR)
    await bench.deliver()
    public_id, event_id = await redeliver(bench, delivery["public_id"])

    await bench.deliver()
    old, new = await bench.deliveries()
    assert (new["public_id"], new["origin"], new["state"]) == (public_id, Origin.REDELIVERY, DeliveryState.DUE)
    assert (old["state"], old["event_seq"]) == (DeliveryState.DEAD, new["event_seq"])
    assert {dict(request.headers)["webhook-id"] for request in bench.receiver.requests} == {event_id}
    assert len({request.body for request in bench.receiver.requests}) == 1
    with pytest.raises(InProgress):
        await redeliver(bench, old["public_id"])
    bench.clock.advance(HOUR)
    await bench.deliver()
    assert [row["attempts"] for row in await bench.deliveries()] == [2, 2]


async def test_what_is_sent_again_does_not_hold_up_newer_events_of_its_object(bench: Bench) -> None:
    endpoint, delivery = await one_delivery(bench, 500, Options(schedule=(60,), ordering=Ordering.STRICT))
    bench.clock.advance(HOUR)
    await bench.deliver()
    bench.receiver.answers[endpoint.url] = lambda _: says(200)
    await resend(bench, delivery["public_id"])
    await bench.happens(bench.event("payment.expired"))
    await bench.plan()

    assert len(await bench.claim()) == 2


async def test_a_cancelled_delivery_is_final(bench: Bench) -> None:
    _, delivery = await one_delivery(bench, 500)
    await bench.db.write(lambda tx: tx.run("update webhook_delivery set state = 5 where id = :id", id=delivery["id"]))
    with pytest.raises(Final):
        await resend(bench, delivery["public_id"])
    assert issubclass(Final, Conflict)
