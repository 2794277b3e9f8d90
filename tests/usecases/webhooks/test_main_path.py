"""From a recorded event to a signed request and back."""

import base64
import hashlib
import hmac
import json

import pytest

from opentill.webhooks.model import DeliveryState, Dialect
from tests.contract.webhooks import documents as doc
from tests.usecases.webhooks.engine import Bench, says

pytestmark = pytest.mark.anyio


async def test_an_event_reaches_its_endpoint_signed(bench: Bench) -> None:
    _, secret = await bench.endpoint()
    (event_id,) = await bench.happens(bench.event())

    planned = await bench.plan()
    assert planned.deliveries == 1
    await bench.deliver()

    (request,) = bench.receiver.requests
    headers = dict(request.headers)
    assert headers["webhook-id"] == event_id
    assert json.loads(request.body or b"")["id"] == event_id
    key = base64.b64decode(secret.reveal().removeprefix("whsec_"))
    signed = f"{event_id}.{headers['webhook-timestamp']}.".encode() + (request.body or b"")
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert headers["webhook-signature"].split(" ")[0] == f"v1,{expected}"
    plain = hmac.digest(secret.reveal().encode(), request.body or b"", "sha256").hex()
    assert headers["X-OwnPay-Signature"] == headers["X-Signature"] == f"sha256={plain}"
    assert headers["X-OP-Signature"] == plain

    (delivery,) = await bench.deliveries()
    assert delivery["state"] == DeliveryState.DELIVERED
    assert delivery["attempts"] == 1
    assert headers["X-OwnPay-Delivery"] == delivery["public_id"]
    (attempt,) = await bench.attempts()
    assert attempt["outcome"] == "ok"
    (payload,) = await bench.rows("select sha256 from webhook_payload")
    assert payload["sha256"] == hashlib.sha256(request.body or b"").hexdigest()


async def test_both_dialects_hear_of_one_pix_payment(bench: Bench) -> None:
    await bench.endpoint("https://shop.example/hook")
    await bench.endpoint("https://shop.example/pix", dialect=Dialect.PIX)
    parts = {"payment": doc.payment(), "charge": doc.charge(), "receipt": doc.receipt()}
    (event_id,) = await bench.happens(bench.event("payment.completed", pix="pix.charge.paid", **parts))
    await bench.plan()
    await bench.deliver()

    bodies = {request.url: json.loads(request.body or b"") for request in bench.receiver.requests}
    assert bodies["https://shop.example/hook"]["event"] == "payment.completed"
    assert bodies["https://shop.example/pix"]["event_type"] == "pix.charge.paid"
    pix = dict(next(r for r in bench.receiver.requests if r.url.endswith("pix")).headers)
    assert pix["X-Owem-Event-Id"] == event_id
    assert pix["X-Owem-Event-Type"] == "pix.charge.paid"
    assert pix["X-Owem-Signature"].startswith("sha256=")


@pytest.mark.checklist("M49", "SG8")
async def test_a_failed_attempt_is_repeated_with_the_same_bytes_and_a_fresh_signature(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.happens(bench.event())
    await bench.plan()
    bench.receiver.answers[endpoint.url] = lambda _: says(500)
    await bench.deliver()
    assert await bench.claim() == []

    bench.clock.advance(70_000_000)
    del bench.receiver.answers[endpoint.url]
    await bench.deliver()

    first, second = bench.receiver.requests
    assert first.body == second.body
    one, two = dict(first.headers), dict(second.headers)
    assert one["webhook-id"] == two["webhook-id"]
    assert (one["X-OwnPay-Attempt"], two["X-OwnPay-Attempt"]) == ("1", "2")
    assert int(two["webhook-timestamp"]) == int(one["webhook-timestamp"]) + 70
    assert one["webhook-signature"] != two["webhook-signature"]
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"]) == (DeliveryState.DELIVERED, 2)


@pytest.mark.checklist("X47")
async def test_every_attempt_in_the_pix_dialect_has_a_time_and_a_signature_of_its_own(bench: Bench) -> None:
    endpoint, secret = await bench.endpoint(dialect=Dialect.PIX)
    parts = {"payment": doc.payment(), "charge": doc.charge(), "receipt": doc.receipt()}
    await bench.happens(bench.event("payment.completed", pix="pix.charge.paid", **parts))
    await bench.plan()
    bench.receiver.answers[endpoint.url] = lambda _: says(500)
    for wait_s in (0, 70, 400, 2_000, 8_000):
        bench.clock.advance(wait_s * 1_000_000)
        await bench.deliver()

    requests = [(dict(request.headers), request.body or b"") for request in bench.receiver.requests]
    assert len(requests) == 5
    assert len({(headers["X-Owem-Event-Id"], headers["webhook-id"], body) for headers, body in requests}) == 1
    for name in ("X-Owem-Timestamp", "X-Owem-Signature", "webhook-timestamp", "webhook-signature"):
        assert len({headers[name] for headers, _ in requests}) == 5
    for headers, body in requests:
        signed = f"{headers['X-Owem-Timestamp']}.".encode() + body
        assert headers["X-Owem-Signature"] == "sha256=" + hmac.digest(secret.reveal().encode(), signed, "sha256").hex()
