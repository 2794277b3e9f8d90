"""Which deliveries an event becomes."""

import json

import pytest

from opentill.db import Tx
from opentill.events import Audience
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.webhooks import planning, service
from opentill.webhooks.model import DeliveryState, Dialect, Options, Payments, SignatureFormat
from opentill.webhooks.signing import body_hex
from opentill.webhooks.store import outbox
from tests.contract.webhooks import documents as doc
from tests.usecases.webhooks.engine import Bench, Counted

pytestmark = pytest.mark.anyio

CALLBACK = "https://other.example/cb?order=7"
ROUTED = {"callback_url": CALLBACK, "signature_format": "prefixed"}


async def names(bench: Bench) -> list[str]:
    return [str(delivery["wire_type"]) for delivery in await bench.deliveries()]


async def happen_all(bench: Bench, *types: str) -> None:
    await bench.happens(*[bench.event(type_, object_id=f"payment-{n}") for n, type_ in enumerate(types)])
    await bench.plan()


# Filters.


@pytest.mark.parametrize(
    ("events", "excepted", "heard"),
    [
        (None, (), ["payment.pending", "payment.completed", "payment.cancelled"]),
        (("*",), (), ["payment.pending", "payment.completed", "payment.cancelled"]),
        (("payment.*",), ("payment.pending",), ["payment.completed", "payment.cancelled"]),
        (("payment.completed",), (), ["payment.completed"]),
        (("payment.canceled",), (), ["payment.cancelled"]),
        (("refund.*",), (), []),
    ],
)
async def test_an_endpoint_hears_what_it_named(
    bench: Bench, events: tuple[str, ...] | None, excepted: tuple[str, ...], heard: list[str]
) -> None:
    await bench.endpoint(options=Options(events=events, excepted=excepted))
    await happen_all(bench, "payment.pending", "payment.completed", "payment.cancelled")
    assert await names(bench) == heard


async def test_an_extra_pix_event_goes_only_to_endpoints_that_name_it(bench: Bench) -> None:
    await bench.endpoint("https://a.example/", dialect=Dialect.PIX)
    chosen, _ = await bench.endpoint("https://b.example/", dialect=Dialect.PIX)
    named = Options(events=("pix.charge.cancelled",)).to_json()  # nobody may name it yet
    await bench.db.write(
        lambda tx: tx.run("update webhook_endpoint set options = :named where id = :id", named=named, id=chosen.id)
    )
    cancelled = doc.charge(cancelled_at=doc.instant("2026-03-07T16:00:00Z"))
    await bench.happens(
        bench.event("charge.cancelled", merchant_type=None, pix="pix.charge.cancelled", charge=cancelled)
    )
    await bench.plan()
    assert [delivery["endpoint_id"] for delivery in await bench.deliveries()] == [chosen.id]


async def test_an_event_without_a_name_in_a_dialect_is_not_sent_in_it(bench: Bench) -> None:
    await bench.endpoint(dialect=Dialect.PIX)
    await happen_all(bench, "payment.processing")
    assert await names(bench) == []


async def test_merchants_and_modes_never_hear_of_each_other(bench: Bench) -> None:
    other = await bench.new_merchant("Outra Loja")
    await bench.endpoint(owner=other.owner)
    await bench.endpoint(owner=Owner(bench.owner.merchant_id, Mode.LIVE))
    await happen_all(bench, "payment.completed")
    assert await bench.deliveries() == []


async def test_an_operational_event_does_not_reach_registered_endpoints(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event(audience=Audience.OPERATIONAL))
    await bench.plan()
    assert await bench.deliveries() == []


@pytest.mark.checklist("M45")
async def test_two_shops_of_one_merchant_hear_only_of_their_own_payments(bench: Bench) -> None:
    own = Options(payments=Payments.OWN)
    one, _ = await bench.endpoint("https://one.example/index.php/wc-api/ownpay/", options=own)
    await bench.endpoint("https://two.example/?wc-api=ownpay", options=own)
    routed = {"callback_url": "https://one.example/?wc-api=ownpay"}
    await bench.happens(bench.event(routing=routed), bench.event(object_id="payment-2"))
    await bench.plan()
    assert [delivery["endpoint_id"] for delivery in await bench.deliveries()] == [one.id]


# States.


async def test_while_an_endpoint_is_paused_its_deliveries_are_held(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.sets_active(endpoint.public_id, active=False)
    await happen_all(bench, "payment.completed")
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.HELD
    assert await bench.claim() == []


async def test_a_deleted_endpoint_gets_nothing_and_loses_what_waited(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await happen_all(bench, "payment.completed")
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
    await happen_all(bench, "payment.completed")
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.CANCELLED
    assert await bench.rows("select * from webhook_secret") == []


# Callback addresses (merchant-api.md §14.5).


@pytest.mark.checklist("M44")
async def test_a_payment_callback_is_signed_with_the_default_secret(bench: Bench) -> None:
    await bench.happens(bench.event(routing=ROUTED))
    await bench.plan()
    await bench.deliver()
    (request,) = bench.receiver.requests
    assert request.url == CALLBACK
    secret = await default_secret(bench)
    assert dict(request.headers)["X-OwnPay-Signature"] == "sha256=" + body_hex(secret, request.body or b"")


@pytest.mark.checklist("M24")
async def test_a_payment_of_the_node_client_gets_a_bare_signature(bench: Bench) -> None:
    await bench.happens(bench.event(routing={**ROUTED, "signature_format": "bare"}))
    await bench.plan()
    await bench.deliver()
    (request,) = bench.receiver.requests
    assert dict(request.headers)["X-OwnPay-Signature"] == body_hex(await default_secret(bench), request.body or b"")


@pytest.mark.parametrize("quiet", ["payment.pending", "refund.created", "customer.created"])
async def test_only_some_events_go_to_a_callback_address(bench: Bench, quiet: str) -> None:
    await bench.happens(bench.event(quiet, routing=ROUTED))
    await bench.plan()
    assert await bench.deliveries() == []


@pytest.mark.checklist("M43")
async def test_a_callback_that_is_a_registered_endpoint_is_sent_once(bench: Bench) -> None:
    endpoint, secret = await bench.endpoint("https://shop.example/wc-api/ownpay/")
    await bench.happens(bench.event(routing={"callback_url": "https://SHOP.example:443/?wc-api=ownpay"}))
    await bench.plan()
    await bench.deliver()
    (request,) = bench.receiver.requests
    assert request.url == endpoint.url
    assert dict(request.headers)["X-OP-Signature"] == body_hex(secret, request.body or b"")


@pytest.mark.checklist("M46")
async def test_a_callback_that_is_an_endpoint_switched_off_is_recorded_and_not_sent(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(CALLBACK, options=Options(events=("payment.failed",)))
    await bench.sets_active(endpoint.public_id, active=False)
    await bench.happens(bench.event(routing=ROUTED))
    await bench.plan()
    (delivery,) = await bench.deliveries()
    assert (delivery["endpoint_id"], delivery["state"]) == (endpoint.id, DeliveryState.HELD)


async def test_a_callback_beside_the_only_endpoint_of_its_origin_is_signed_as_that(bench: Bench) -> None:
    options = Options(events=("payment.failed",), signature_format=SignatureFormat.BARE)
    _, secret = await bench.endpoint("https://other.example/hook", options=options)
    await bench.happens(bench.event(routing=ROUTED))
    await bench.plan()
    await bench.deliver()
    (request,) = bench.receiver.requests
    assert request.url == CALLBACK
    assert dict(request.headers)["X-OwnPay-Signature"] == body_hex(secret, request.body or b"")


async def test_a_callback_beside_two_endpoints_of_its_origin_is_signed_with_the_default_secret(bench: Bench) -> None:
    for path in ("one", "two"):
        await bench.endpoint(f"https://other.example/{path}", options=Options(events=("payment.failed",)))
    await bench.happens(bench.event(routing=ROUTED))
    await bench.plan()
    await bench.deliver()
    (request,) = bench.receiver.requests
    assert dict(request.headers)["X-OP-Signature"] == body_hex(await default_secret(bench), request.body or b"")


async def test_callback_addresses_of_one_origin_share_a_lane(bench: Bench) -> None:
    addresses = [f"https://other.example/cb/{n}" for n in range(3)]
    await bench.happens(
        *[bench.event(object_id=f"p-{n}", routing={"callback_url": url}) for n, url in enumerate(addresses)]
    )
    await bench.plan()
    (origin,) = await bench.rows("select * from webhook_endpoint")
    assert origin["url"] == "https://other.example"
    deliveries = await bench.deliveries()
    assert {delivery["endpoint_id"] for delivery in deliveries} == {origin["id"]}
    assert [delivery["target_url"] for delivery in deliveries] == addresses


# Whatever goes wrong.


async def test_planning_again_plans_nothing_twice(bench: Bench) -> None:
    await bench.endpoint()
    await happen_all(bench, "payment.completed")
    await bench.db.write(lambda tx: tx.run("update event set plan_state = 0"))
    assert (await bench.plan()).deliveries == 0
    assert len(await bench.deliveries()) == 1


@pytest.mark.checklist("F12")
async def test_an_event_that_cannot_be_planned_does_not_keep_the_others(bench: Bench) -> None:
    await bench.endpoint()
    bad = bench.event(object_id="bad", payment={"uuid": "no more than this"})
    ids = await bench.happens(bench.event(object_id="one"), bad, bench.event(object_id="two"))
    planned = await bench.plan()
    assert list(planned.faults) == [ids[1]]
    assert planned.deliveries == 2
    states = [row["plan_state"] for row in await bench.rows("select plan_state from event order by seq")]
    assert states == [planning.PLANNED, planning.FAILED, planning.PLANNED]


async def test_an_event_that_could_not_be_planned_is_planned_once_it_can_be(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event(payment={"uuid": "no more than this"}))
    await bench.plan()
    whole = json.dumps({"merchant": doc.MERCHANT, "payment": doc.payment()}).encode()
    await bench.db.write(lambda tx: tx.run("update event set doc = :doc", doc=whole))
    assert await bench.db.write(planning.replan) == 1
    assert (await bench.plan()).deliveries == 1


async def test_an_event_of_no_known_dialect_is_kept_for_later_endpoints(bench: Bench) -> None:
    await happen_all(bench, "payment.completed")
    (event,) = await bench.rows("select plan_state from event")
    assert event["plan_state"] == planning.PLANNED
    assert await bench.deliveries() == []


async def test_events_that_nobody_can_hear_are_passed_over_and_no_others(bench: Bench) -> None:
    deaf = await bench.new_merchant("Sem Ouvinte")
    sandbox = Owner(bench.owner.merchant_id, Mode.SANDBOX if bench.owner.mode is Mode.LIVE else Mode.LIVE)
    removed, _ = await bench.endpoint("https://gone.example/", owner=deaf.owner)
    await bench.db.write(lambda tx: tx.run("update webhook_endpoint set state = 3 where id = :id", id=removed.id))
    await bench.endpoint()
    await bench.happens(
        bench.event(object_id="heard"),
        bench.event(object_id="deaf", owner=deaf.owner),
        bench.event(object_id="called back", owner=deaf.owner, routing=ROUTED),
        bench.event(object_id="other mode", owner=sandbox),
        bench.event(object_id="notice", owner=deaf.owner, audience=Audience.OPERATIONAL),
    )
    passed_over = await bench.db.write(lambda tx: outbox.pass_over(tx, 200))
    found = await bench.rows("select object_id, plan_state from event order by seq")
    assert {row["object_id"] for row in found if row["plan_state"]} == {"deaf", "other mode"}
    assert len(passed_over) == 2

    await bench.plan()
    assert await bench.rows("select 1 from event where plan_state <> 1") == []
    assert [row["object_key"] for row in await bench.deliveries()] == ["payment:heard", "payment:called back"]


async def test_what_is_passed_over_is_told_like_what_is_planned(bench: Bench) -> None:
    deaf = await bench.new_merchant("Sem Ouvinte")
    await bench.endpoint()
    await bench.happens(bench.event("payment.failed", owner=deaf.owner), bench.event())
    planned = await bench.plan()
    assert sorted(planned.types) == ["payment.completed", "payment.failed"]
    assert len(planned.seqs) == 2


async def test_of_what_cannot_be_planned_only_the_event_that_failed_is_marked(bench: Bench) -> None:
    deaf = await bench.new_merchant("Sem Ouvinte")
    await bench.endpoint()
    _, bad = await bench.happens(bench.event("payment.failed", owner=deaf.owner), bench.event())
    given_up = await bench.db.write(lambda tx: planning.give_up(tx, "a constraint"))
    assert given_up.faults == {bad: "a constraint"}
    states = [row["plan_state"] for row in await bench.rows("select plan_state from event order by seq")]
    assert states == [planning.PLANNED, planning.FAILED]


# What it costs.


async def test_without_endpoints_a_whole_batch_costs_two_statements(bench: Bench) -> None:
    await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(50)])
    counted = await planned_and_counted(bench)
    assert counted.statements == (3 if bench.db.dialect == "postgres" else 2)
    assert await bench.rows("select 1 from event where plan_state <> 1") == []


async def test_with_an_endpoint_a_batch_costs_less_than_a_statement_for_each_delivery(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(*[bench.event(object_id=f"payment-{n}") for n in range(50)])
    counted = await planned_and_counted(bench)
    assert len(await bench.deliveries()) == 50
    assert counted.statements <= 10


async def planned_and_counted(bench: Bench) -> Counted:
    engine = bench.engine
    counted: list[Counted] = []

    def work(tx: Tx) -> None:
        counted.append(Counted(tx))
        planning.plan(counted[-1], ids=engine.ids, keyring=engine.keyring, now=engine.clock.now())

    await bench.db.write(work)
    return counted[-1]


async def default_secret(bench: Bench) -> Secret:
    (merchant,) = await bench.rows("select uuid, sealed_secret from merchant where id = :id", id=bench.merchant.id)
    keyring: Keyring = bench.engine.keyring
    return keyring.open_secret(merchant["sealed_secret"], f"merchant.sealed_secret/{merchant['uuid']}")
