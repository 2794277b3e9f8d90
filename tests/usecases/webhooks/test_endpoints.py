"""Registering, finding, deleting and testing endpoints."""

import json

import pytest

from opentill.kernel.errors import Invalid
from opentill.webhooks import flow, queries, service
from opentill.webhooks.model import BOUNDS, AmountFormat, Bounds, DeliveryState, Dialect, Endpoint, Kind, Options
from opentill.webhooks.service import EndpointExists, EndpointNotFound, LimitReached, NotActive
from tests.usecases.webhooks.engine import Bench, says

pytestmark = pytest.mark.anyio


async def test_a_generated_secret_has_the_form_of_its_surface_and_is_stored_sealed(bench: Bench) -> None:
    _, merchant = await bench.endpoint("https://a.example/")
    _, pix = await bench.endpoint("https://b.example/", dialect=Dialect.PIX)
    assert merchant.reveal().startswith("whsec_")
    assert len(pix.reveal()) == 32
    stored = json.dumps(await bench.rows("select * from webhook_secret"))
    assert merchant.reveal() not in stored
    assert pix.reveal() not in stored


async def test_an_owner_may_bring_a_secret(bench: Bench) -> None:
    _, secret = await bench.endpoint(secret="a secret of my own")
    assert secret.reveal() == "a secret of my own"


@pytest.mark.parametrize(
    ("dialect", "url", "options", "secret", "code"),
    [
        (Dialect.MERCHANT, "ftp://shop.example/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://user@shop.example/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://shop.example/#x", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://shop.example:99999/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://shop.example:22/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://", Options(), None, "INVALID_URL"),
        (Dialect.PIX, "https://2130706433/", Options(), None, "INVALID_URL"),
        (Dialect.PIX, "https://0x7f.1/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://0177.0.0.1:8443/hook", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://[::1%25eth0]/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://shop.example/" + "x" * 2048, Options(), None, "INVALID_URL"),
        (Dialect.PIX, "http://shop.example/", Options(), None, "INVALID_URL"),
        (Dialect.MERCHANT, "https://shop.example/", Options(events=("payment.made",)), None, "INVALID_EVENTS"),
        (Dialect.PIX, "https://shop.example/", Options(events=("pix.payout.created",)), None, "INVALID_EVENTS"),
        (Dialect.MERCHANT, "https://shop.example/", Options(), "short", "INVALID_SECRET"),
        (Dialect.PIX, "https://shop.example/", Options(), "fifteen-letters", "INVALID_SECRET"),
        (Dialect.MERCHANT, "https://shop.example/", Options(timeout_s=31), None, "VALIDATION_FAILED"),
        (Dialect.MERCHANT, "https://shop.example/", Options(schedule=(0,)), None, "VALIDATION_FAILED"),
        (Dialect.MERCHANT, "https://shop.example/", Options(max_in_flight=51), None, "VALIDATION_FAILED"),
        (Dialect.MERCHANT, "https://shop.example/", Options(description="x" * 256), None, "VALIDATION_FAILED"),
    ],
)
async def test_a_wrong_field_is_refused_and_nothing_is_stored(
    bench: Bench, dialect: Dialect, url: str, options: Options, secret: str | None, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await bench.endpoint(url, dialect=dialect, options=options, secret=secret)
    assert [fault.code for fault in refused.value.faults] == [code]
    assert await bench.rows("select 1 from webhook_endpoint") == []


@pytest.mark.parametrize(
    "url",
    [
        "https://203.0.113.9/hook",
        "https://[2001:db8::1]:8443/hook",
        "https://Shop_1.Example.:443",
        "https://xn--caf-dma.example/",
        "https://localhost/",  # judged when sending
    ],
)
async def test_an_address_a_name_and_a_port_are_fine(bench: Bench, url: str) -> None:
    endpoint, _ = await bench.endpoint(url)
    assert endpoint.url == url


async def test_plain_http_is_for_the_merchant_api_and_for_pix_with_a_flag(bench: Bench) -> None:
    await bench.endpoint("http://shop.example/")
    await bench.endpoint("http://shop.example/", dialect=Dialect.PIX, options=Options(allow_insecure=True))


async def test_the_same_url_twice_is_refused_on_the_merchant_api_only(bench: Bench) -> None:
    await bench.endpoint("https://shop.example/hook")
    with pytest.raises(EndpointExists):
        await bench.endpoint("https://SHOP.example:443/hook")
    await bench.endpoint("https://shop.example/hook", dialect=Dialect.PIX)
    await bench.endpoint("https://shop.example/hook", dialect=Dialect.PIX)


async def test_no_more_endpoints_than_the_limit(bench: Bench) -> None:
    for number in range(BOUNDS.pix_endpoints_max):
        await bench.endpoint(f"https://{number}.pix.example/", dialect=Dialect.PIX)
    with pytest.raises(LimitReached, match="Webhook limit reached"):
        await bench.endpoint("https://more.pix.example/", dialect=Dialect.PIX)
    for number in range(BOUNDS.endpoints_max - BOUNDS.pix_endpoints_max):
        await bench.endpoint(f"https://{number}.example/")
    with pytest.raises(LimitReached):
        await bench.endpoint("https://more.example/")
    await bench.operational()


async def test_as_many_endpoints_as_the_operator_allows(bench: Bench) -> None:
    bounds = Bounds(endpoints_max=2, pix_endpoints_max=1)
    await bench.endpoint("https://1.example/", dialect=Dialect.PIX, bounds=bounds)
    with pytest.raises(LimitReached):
        await bench.endpoint("https://2.example/", dialect=Dialect.PIX, bounds=bounds)
    await bench.endpoint("https://2.example/", bounds=bounds)
    with pytest.raises(LimitReached):
        await bench.endpoint("https://3.example/", bounds=bounds)
    for number in (1, 2):
        await bench.endpoint(
            f"https://ops.example/{number}", dialect=Dialect.STANDARD, kind=Kind.OPERATIONAL, bounds=bounds
        )
    with pytest.raises(LimitReached):
        await bench.endpoint("https://ops.example/3", dialect=Dialect.STANDARD, kind=Kind.OPERATIONAL, bounds=bounds)


@pytest.mark.parametrize("names", [("pix.refund.failed",), ("pix.infraction.*",)])
async def test_the_extra_events_of_pix_are_named_where_the_operator_opened_them_and_kept_later(
    bench: Bench, names: tuple[str, ...]
) -> None:
    extra = Options(events=names)
    with pytest.raises(Invalid):
        await bench.endpoint(dialect=Dialect.PIX, options=extra)
    endpoint, _ = await bench.endpoint(dialect=Dialect.PIX, options=extra, bounds=Bounds(pix_extra_events=True))

    async def changed(options: Options) -> Endpoint:
        return await bench.db.write(
            lambda tx: service.change_endpoint(
                tx,
                bounds=BOUNDS,
                owner=bench.owner,
                dialect=Dialect.PIX,
                endpoint_id=endpoint.id,
                options=options,
                now=bench.clock.now(),
            )
        )

    assert (await changed(Options(events=names, description="ours"))).options.events == names
    with pytest.raises(Invalid):
        await changed(Options(events=(*names, "pix.payout.held")))


async def test_an_operational_endpoint_hears_of_endpoints_and_deliveries_and_of_nothing_else(bench: Bench) -> None:
    operator, _ = await bench.operational(options=Options(events=("endpoint.*", "delivery.dead")))
    assert operator.kind is Kind.OPERATIONAL
    with pytest.raises(Invalid):
        await bench.operational(options=Options(events=("payment.completed",)))
    with pytest.raises(Invalid):
        await bench.endpoint(kind=Kind.OPERATIONAL)
    with pytest.raises(Invalid):
        await bench.endpoint("https://b.example/", dialect=Dialect.STANDARD, options=operator.options)

    await bench.happens(bench.event())
    await bench.plan()
    assert await bench.deliveries() == []


async def test_another_merchants_endpoint_is_not_found(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    other = await bench.new_merchant("Outra Loja")
    for owner, dialect in ((other.owner, Dialect.MERCHANT), (bench.owner, Dialect.PIX)):
        with pytest.raises(EndpointNotFound):
            await bench.db.write(
                lambda tx, owner=owner, dialect=dialect: service.delete_endpoint(
                    tx,
                    ids=bench.engine.ids,
                    owner=owner,
                    dialect=dialect,
                    endpoint_id=endpoint.public_id,
                    now=bench.clock.now(),
                )
            )


async def test_options_survive_storing(bench: Bench) -> None:
    chosen = Options(
        events=("payment.*",), amount_format=AmountFormat.NUMBER, schedule=(5, 10), description="Größe / ação"
    )
    made, _ = await bench.endpoint(options=chosen)
    (listed,) = await bench.db.read(lambda tx: service.of_surface(tx, bench.owner, Dialect.MERCHANT))
    assert made.options == listed.options == chosen


# Tests of an endpoint.


async def test_a_test_is_sent_at_once_once_and_logged(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(events=("refund.*",)))
    tested = await flow.send_test(bench.engine, owner=bench.owner, dialect=Dialect.MERCHANT, endpoint_id=endpoint.id)
    assert (tested.succeeded, tested.status) == (True, 200)
    (request,) = bench.receiver.requests
    assert json.loads(request.body or b"")["status"] == "test"
    (delivery,) = await bench.deliveries()
    assert delivery["public_id"] == tested.delivery_id
    assert delivery["state"] == DeliveryState.DELIVERED
    assert len(await bench.attempts()) == 1
    assert (await bench.plan()).seqs == ()


async def test_a_failed_test_says_why_and_is_not_repeated(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(dialect=Dialect.PIX)
    bench.receiver.answers[endpoint.url] = lambda _: says(503)
    tested = await flow.send_test(
        bench.engine, owner=bench.owner, dialect=Dialect.PIX, endpoint_id=endpoint.public_id, message="Olá"
    )
    assert (tested.succeeded, tested.status, tested.outcome) == (False, 503, "slow_down")
    assert json.loads(bench.receiver.requests[0].body or b"")["message"] == "Olá"
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.DEAD


async def test_a_test_needs_an_active_endpoint(bench: Bench) -> None:
    with pytest.raises(NotActive):
        await flow.send_test(bench.engine, owner=bench.owner, dialect=Dialect.MERCHANT)
    with pytest.raises(EndpointNotFound):
        await flow.send_test(bench.engine, owner=bench.owner, dialect=Dialect.MERCHANT, endpoint_id=99)


# Lists.


async def test_deliveries_are_listed_newest_first_for_their_owner_only(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    other = await bench.new_merchant("Outra Loja")
    await bench.happens(*[bench.event(object_id=f"p-{n}") for n in range(5)])
    await bench.plan()
    await bench.deliver()
    listed = await bench.db.read(lambda tx: queries.deliveries(tx, owner=bench.owner, limit=3))
    assert [row.object_id for row in listed] == ["p-4", "p-3", "p-2"]
    rest = await bench.db.read(
        lambda tx: queries.deliveries(tx, owner=bench.owner, limit=3, before=listed[-1].id, endpoint_id=endpoint.id)
    )
    assert [row.object_id for row in rest] == ["p-1", "p-0"]
    assert await bench.db.read(lambda tx: queries.deliveries(tx, owner=other.owner, limit=3)) == []

    one = await bench.db.read(lambda tx: queries.delivery(tx, owner=bench.owner, public_id=listed[0].public_id))
    assert one == listed[0]
    attempts = await bench.db.read(lambda tx: queries.attempts(tx, [row.id for row in listed]))
    assert [attempt.outcome for attempt in attempts] == ["ok"] * len(attempts)
    body = await bench.db.read(lambda tx: queries.payload(tx, event_seq=listed[0].event_seq, variant=listed[0].variant))
    assert body is not None
    assert json.loads(body)["event"] == "payment.completed"


async def test_deliveries_can_be_looked_for(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event(object_id="p-1"), bench.event("payment.failed", object_id="p-2"))
    await bench.plan()

    async def found(**filters: object) -> list[str]:
        rows = await bench.db.read(
            lambda tx: queries.deliveries(tx, owner=bench.owner, limit=10, **filters)  # type: ignore[arg-type]
        )
        return [row.object_id for row in rows]

    assert await found(event_name="payment.failed") == ["p-2"]
    assert await found(object_id="p-1") == ["p-1"]
    assert await found(states=[DeliveryState.DUE]) == ["p-2", "p-1"]
    assert await found(states=[DeliveryState.DEAD]) == []
