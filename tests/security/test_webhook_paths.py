"""Every way to make a webhook call leads through the same guard, with the same verdict (webhooks.md §16.6, AG13).

Delivery, test, resend, token call and hub check: none of them reaches the canary, and each says why.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from opentill.db import Database
from opentill.kernel.clock import SECOND
from opentill.outbound import AllowList, Outbound
from opentill.webhooks import flow, service
from opentill.webhooks.entrusted import AuthKind, Entrusted
from opentill.webhooks.model import Dialect, Options
from tests.fakes.canary import Canary
from tests.fakes.dns import ScriptedDns
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = [pytest.mark.anyio, pytest.mark.bar("S1")]

FORBIDDEN = ("127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "rebinding.test", "inside.test")
SETTING = "webhooks.allow"


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with Canary("127.0.0.1") as bird:
        yield bird
        await asyncio.sleep(0)
        assert bird.connections == 0


@pytest.fixture
async def guarded(database: Database) -> AsyncIterator[Bench]:
    """An engine that sends with the real client, as it is installed: nothing is opened."""
    dns = ScriptedDns({"inside.test": ["10.0.0.8"], "public.test": ["203.0.114.1"]})
    dns.answers("rebinding.test", ["127.0.0.1"])
    bench = await Bench(database).start()
    async with Outbound(lookup=dns) as outbound:
        bench.engine.sender = outbound
        bench.engine.authorizing = type(bench.engine.authorizing)(outbound)
        yield bench


async def outcomes(bench: Bench) -> list[tuple[str, str]]:
    """Return outcome and sentence of each attempt."""
    return [(row["outcome"], json.loads(row["detail"]).get("error", "")) for row in await bench.attempts()]


@pytest.mark.checklist("AG13", "W6", "M51", "X49")
@pytest.mark.parametrize("host", FORBIDDEN)
async def test_delivery_test_and_resend_are_refused_alike(guarded: Bench, canary: Canary, host: str) -> None:
    bench, url = guarded, f"http://{host}:{canary.port}/hook"
    endpoint, _ = await bench.endpoint(url, options=Options(schedule=()))
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()
    tested = await flow.send_test(bench.engine, owner=bench.owner, dialect=Dialect.MERCHANT, endpoint_id=endpoint.id)
    delivery = (await bench.deliveries())[0]
    await bench.db.write(
        lambda tx: service.resend(tx, owner=bench.owner, delivery_id=delivery["id"], now=bench.clock.now())
    )
    await bench.deliver()

    found = await outcomes(bench)
    assert len(found) == 3
    assert {outcome for outcome, _ in found} == {"blocked_address"} == {tested.outcome}
    said = {sentence for _, sentence in found}
    assert said == {tested.error}
    (sentence,) = said
    assert host.strip("[]") in str(sentence)
    assert SETTING in str(sentence)


@pytest.mark.checklist("AG13")
@pytest.mark.parametrize("host", FORBIDDEN)
async def test_a_token_is_not_fetched_from_a_forbidden_address(guarded: Bench, canary: Canary, host: str) -> None:
    fields = {"token_url": f"http://{host}:{canary.port}/token", "client_id": "me", "client_secret": "s3"}
    await guarded.endpoint(
        "https://public.test/hook",
        entrusted=Entrusted(kind=AuthKind.OAUTH2, fields=fields),
        options=Options(schedule=()),
    )
    await guarded.happens(guarded.event())
    await guarded.plan()
    await guarded.deliver()
    assert [outcome for outcome, _ in await outcomes(guarded)] == ["auth_failed"]


@pytest.mark.parametrize("host", FORBIDDEN)
async def test_the_check_at_saving_says_what_sending_will_say(guarded: Bench, canary: Canary, host: str) -> None:
    sender = guarded.engine.sender
    assert isinstance(sender, Outbound)
    url = f"http://{host}:{canary.port}/hook"
    await guarded.endpoint(url, options=Options(schedule=()))
    await guarded.happens(guarded.event())
    await guarded.plan()
    await guarded.deliver()
    refusal = await sender.inspect(url, plain_http=True)
    assert refusal is not None
    assert [(str(refusal.outcome), refusal.for_merchant)] == await outcomes(guarded)


async def test_a_host_that_the_operator_listed_is_reached_and_its_answer_is_not_kept(database: Database) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver, Outbound(allow=AllowList.parse([f"127.0.0.1:{receiver.port}"])) as outbound:
        receiver.script("*", "body:a private answer")
        bench.engine.sender = outbound
        bench.engine.authorizing = type(bench.engine.authorizing)(outbound)
        await bench.endpoint(receiver.url("/hook"))
        await bench.happens(bench.event())
        await bench.plan()
        await bench.deliver()
    (attempt,) = await bench.attempts()
    assert (attempt["outcome"], attempt["status"]) == ("ok", 200)
    assert not attempt["body"]


@pytest.mark.checklist("AG5")
async def test_a_name_that_changes_its_answer_between_tries_is_judged_at_each(database: Database) -> None:
    """Its owner may give it any time to live: an answer is kept for half a minute, and the next one judged anew."""
    bench, dns = await Bench(database).start(), ScriptedDns()
    forbidden = ["169.254.169.254"], ["169.254.170.2", "127.0.0.1"], ["::ffff:10.0.0.8"]
    dns.answers("shop.test", *forbidden, ["127.0.0.1"], *forbidden)

    def seconds() -> float:
        return bench.clock.now() / SECOND

    async with (
        Receiver() as receiver,
        Outbound(allow=AllowList.parse(["shop.test"]), lookup=dns, monotonic=seconds) as outbound,
    ):
        receiver.script("*", "close:status:500")
        bench.engine.sender = outbound
        bench.engine.authorizing = type(bench.engine.authorizing)(outbound)
        await bench.endpoint(f"http://shop.test:{receiver.port}/hook", options=Options(schedule=(60,) * 6))
        await bench.happens(bench.event())
        await bench.plan()
        while (await bench.deliver()).fenced == frozenset() and (await bench.deliveries())[0]["state"] == 0:
            bench.clock.advance(70 * SECOND)

    judged = [(row["outcome"], json.loads(row["detail"]).get("address")) for row in await bench.attempts()]
    refused = [("blocked_address", None)] * len(forbidden)
    assert judged == [*refused, ("http_5xx", "127.0.0.1"), *refused]
    assert len(receiver.requests) == 1
    assert len(dns.asked) == len(judged)
