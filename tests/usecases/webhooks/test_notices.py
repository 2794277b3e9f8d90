"""Who fails for days is warned, then disabled, and loses nothing (webhooks.md §5.6)."""

from typing import Any

import pytest

from opentill.events import Audience, document_of
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND
from opentill.outbound.outcomes import Outcome
from opentill.webhooks.bodies import render
from opentill.webhooks.model import DeliveryState, Endpoint, EndpointState, Options, Recover
from opentill.webhooks.store import outbox
from opentill.workers import replay
from tests.contract.webhooks.schema import errors_in
from tests.usecases.webhooks.engine import Bench, fails, says

pytestmark = pytest.mark.anyio


async def notices(bench: Bench) -> list[dict[str, Any]]:
    """Return what was told so far: type and document of each operational event."""
    found = await bench.rows(f"select type, doc from event where audience = {int(Audience.OPERATIONAL)} order by seq")
    return [{"type": row["type"], **document_of(bytes(row["doc"]))} for row in found]


async def names(bench: Bench) -> list[str]:
    return [notice["notice"] for notice in await notices(bench)]


async def failing(bench: Bench, **options: Any) -> Endpoint:
    endpoint, _ = await bench.endpoint(options=Options(**{"schedule": (1,) * 20, **options}))
    bench.receiver.answers[endpoint.url] = lambda _: says(404)
    return endpoint


async def attempts(bench: Bench, count: int = 1, name: str = "p") -> None:
    """Have so many events happen and be tried once each."""
    for n in range(count):
        await bench.happens(bench.event(object_id=f"{name}-{n}-{bench.clock.now()}"))
    await bench.plan()
    for job in await bench.claim():
        await bench.complete(await bench.send(job))


@pytest.mark.bar("U14")
async def test_the_owner_is_warned_at_the_third_failure_once_it_has_lasted_five_minutes(bench: Bench) -> None:
    await failing(bench)
    await attempts(bench, 2)
    bench.clock.advance(4 * MINUTE)
    await attempts(bench, 1, "q")
    assert await names(bench) == []
    bench.clock.advance(2 * MINUTE)
    await attempts(bench, 1, "r")
    await attempts(bench, 1, "s")

    (notice,) = await notices(bench)
    assert (notice["type"], notice["notice"]) == ("endpoint.failing", "N1")
    told = notice["endpoint"]
    assert told["failed_attempts"] >= 3
    assert told["disable_at"] is None
    assert told["last_error"] == "The receiver answered 404."


@pytest.mark.checklist("W7")
async def test_each_warning_of_a_failing_spell_is_given_once_and_then_the_endpoint_is_disabled(bench: Bench) -> None:
    endpoint = await failing(bench)
    await attempts(bench)
    began = bench.clock.now()
    for _ in range(5 * 24 + 1):
        bench.clock.advance(HOUR)
        await attempts(bench)

    assert await names(bench) == ["N1", "N2", "N3", "N4", "N5"]
    last_warning, disabled = (await notices(bench))[3:]
    assert abs(last_warning["endpoint"]["disable_at"] - began - 5 * DAY) < SECOND
    assert (disabled["type"], disabled["reason"], disabled["endpoint"]["state"]) == (
        "endpoint.disabled",
        "failing",
        "disabled",
    )
    (row,) = await bench.rows("select state, state_reason from webhook_endpoint")
    assert (row["state"], row["state_reason"]) == (EndpointState.DISABLED, "failing")
    for event in await bench.rows("select id from event where audience = 1"):
        recorded = await bench.db.read(lambda tx, event_id=event["id"]: outbox.by_id(tx, event_id))
        body = render(recorded, "standard/2026-11-01/full")
        assert errors_in(body, f"standard:{recorded.type}") == []

    (kept,) = await bench.happens(bench.event(object_id="kept"))
    await bench.plan()
    assert (await bench.deliveries())[-1]["state"] == DeliveryState.HELD
    engine = bench.engine
    bench.receiver.answers.clear()
    await bench.sets_active(endpoint.id, active=True, recover=Recover.ALL)
    while await replay.step(engine):
        bench.clock.advance(SECOND)
    bench.clock.advance(HOUR)
    while await bench.claim_and_complete():
        bench.clock.advance(MINUTE)
    assert kept in bench.receiver.event_ids()


async def test_a_success_ends_the_spell_and_is_told_once(bench: Bench) -> None:
    endpoint = await failing(bench)
    await attempts(bench, 3)
    bench.clock.advance(6 * MINUTE)
    await attempts(bench, 1, "q")
    bench.receiver.answers[endpoint.url] = lambda _: says(200)
    bench.clock.advance(20 * MINUTE)
    await attempts(bench, 2, "r")

    assert await names(bench) == ["N1", "N6"]
    (lane,) = await bench.rows("select failing_since, fail_run, notice_step from webhook_lane")
    assert (lane["failing_since"], lane["fail_run"], lane["notice_step"]) == (None, 0, 0)


async def test_five_days_with_few_attempts_do_not_disable(bench: Bench) -> None:
    await failing(bench, schedule=())
    for _ in range(4):
        await attempts(bench)
        bench.clock.advance(2 * DAY)
    (row,) = await bench.rows("select state from webhook_endpoint")
    assert row["state"] == EndpointState.ACTIVE


async def test_an_endpoint_that_is_gone_is_disabled_at_once_and_that_is_told(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    bench.receiver.answers[endpoint.url] = lambda _: says(410)
    await attempts(bench)
    told = await notices(bench)
    assert [(n["type"], n["notice"], n.get("reason")) for n in told] == [
        ("endpoint.disabled", "N5", "gone"),
        ("delivery.dead", "N7", None),
    ]


async def test_a_dead_delivery_is_told_with_its_event_and_its_last_error(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(schedule=()))
    bench.receiver.answers[endpoint.url] = lambda _: says(404)
    await attempts(bench)
    (notice,) = await notices(bench)
    told = notice["delivery"]
    assert (notice["type"], told["endpoint_id"], told["attempts"]) == ("delivery.dead", endpoint.public_id, 1)
    assert (told["event_type"], told["last_error"]) == ("payment.completed", "The receiver answered 404.")


async def test_operational_endpoints_are_told_and_never_hear_of_themselves(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(schedule=()))
    once = Options(schedule=())
    operator, _ = await bench.operational(options=once)
    for url in (endpoint.url, operator.url):
        bench.receiver.answers[url] = lambda _: says(404)
    await attempts(bench)
    await bench.plan()
    await bench.claim_and_complete()

    assert [request.url for request in bench.receiver.requests] == [endpoint.url, operator.url]
    assert await names(bench) == ["N7"]
    await bench.plan()
    assert await bench.claim() == []


async def test_while_the_operator_is_away_deliveries_go_on_and_each_notice_comes_later_once(
    bench: Bench,
) -> None:
    well, _ = await bench.endpoint("https://well.example/hook")
    gone, _ = await bench.endpoint("https://gone.example/hook", options=Options(schedule=()))
    operator, _ = await bench.operational()
    for url in (gone.url, operator.url):
        bench.receiver.answers[url] = lambda _: fails(Outcome.TIMEOUT_CONNECT)
    await attempts(bench)
    for _ in range(3):
        await bench.plan()
        await bench.claim_and_complete()
        bench.clock.advance(HOUR)
    await attempts(bench, 1, "meanwhile")
    assert [request.url for request in bench.receiver.requests].count(well.url) == 2

    del bench.receiver.answers[operator.url]
    before = len(bench.receiver.requests)
    for _ in range(30):
        await bench.plan()
        await bench.claim_and_complete()
        bench.clock.advance(HOUR)
    told = [request for request in bench.receiver.requests[before:] if request.url == operator.url]
    assert len(told) == len({dict(request.headers)["webhook-id"] for request in told})
    assert len(told) == len([name for name in await names(bench) if name == "N7"]) == 2
