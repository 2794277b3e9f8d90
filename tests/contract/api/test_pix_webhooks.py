"""Endpoints of the PIX API: what reaches them, which events they may name, tests and redeliveries (pix-api.md §17)."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database
from opentill.webhooks.catalogue import PIX_EVENTS, PIX_EXTRA_EVENTS
from tests.contract.api.client import declined
from tests.contract.api.counter import Counter, open_counter
from tests.usecases.webhooks.engine import says

pytestmark = pytest.mark.anyio
URL = "https://shop.example/hook"


def signed(sent: dict[str, Any], secret: str, algorithm: str = "sha256") -> str:
    message = f"{sent['X-Owem-Timestamp']}.".encode() + sent["body"]
    return "sha256=" + hmac.new(secret.encode(), message, getattr(hashlib, algorithm)).hexdigest()


async def hooked(counter: Counter, **fields: Any) -> dict[str, Any]:
    return await counter.fine("POST", "/webhooks", {"url": URL, **fields})


@pytest.mark.checklist("X9")
@pytest.mark.parametrize("own", [None, "a secret of the merchant"])
async def test_a_delivery_verifies_with_the_webhooks_secret_and_with_nothing_else(
    counter: Counter, own: str | None
) -> None:
    made = await hooked(counter, **({"secret": own} if own else {}))
    client_secret = counter.credential[1]
    charge = await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
    await counter.fine("POST", f"/sandbox/charges/{charge['transaction_id']}/pay")
    await counter.goes_on()

    sent = await counter.delivers()
    sent += await counter.delivers()

    assert [one["X-Owem-Event-Type"] for one in sent] == ["pix.charge.created", "pix.charge.paid"]
    for one in sent:
        assert one["X-Owem-Signature"] == signed(one, made["secret"])
        for key, algorithm in ((client_secret, "sha256"), (client_secret, "sha512"), (made["secret"], "sha512")):
            assert one["X-Owem-Signature"] != signed(one, key, algorithm)
        assert client_secret.encode() not in one["body"]
    assert made["secret"] != client_secret


@pytest.mark.checklist("X50")
@pytest.mark.parametrize(
    ("events", "detail"),
    [
        ([], "events must not be empty"),
        ("pix.charge.paid", "events must be an array"),
        (["pix.charge.paid", "pix.charge.payed", "x"], "events: contains invalid events: pix.charge.payed, x"),
        (["*"], "events: contains invalid events: *"),
        (["pix.charge.*"], "events: contains invalid events: pix.charge.*"),
        (["pix.payout.created"], "events: contains invalid events: pix.payout.created"),
        (["pix.payout.rejected"], "events: contains invalid events: pix.payout.rejected"),
        (["payment.completed"], "events: contains invalid events: payment.completed"),
        ([7, None, ["pix.charge.paid"]], "events: contains invalid events: 7, None, ['pix.charge.paid']"),
        *(([name], f"events: contains invalid events: {name}") for name in PIX_EXTRA_EVENTS),
    ],
)
async def test_names_nobody_knows_and_extra_ones_are_refused(counter: Counter, events: Any, detail: str) -> None:
    declined(await counter.ask("POST", "/webhooks", {"url": URL, "events": events}), 422, detail)
    made = await hooked(counter, events=["pix.charge.paid", "pix.charge.paid"])
    assert made["events"] == ["pix.charge.paid"]
    declined(await counter.ask("PATCH", f"/webhooks/{made['id']}", {"events": events}), 422, detail)


@pytest.mark.checklist("X50")
async def test_an_extra_event_reaches_only_who_names_it(database: Database, tmp_path: Path) -> None:
    async with open_counter(database, tmp_path, pix_webhooks_extra_events=True) as counter:
        named = await hooked(counter, url=f"{URL}/named", events=["pix.charge.cancelled", "pix.charge.created"])
        everything = await hooked(counter, url=f"{URL}/all")
        for name in ("pix.payout.created", "pix.payout.rejected"):
            answer = await counter.ask("POST", "/webhooks", {"url": URL, "events": [name]})
            declined(answer, 422, f"events: contains invalid events: {name}")

        charge = await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
        await counter.fine("POST", f"/pix/cash-in/{charge['transaction_id']}/cancel")
        sent = await counter.delivers()
        sent += await counter.delivers()

    assert everything["events"] == list(PIX_EVENTS)
    assert named["events"] == ["pix.charge.cancelled", "pix.charge.created"]
    got = sorted((one["url"].rpartition("/")[2], one["X-Owem-Event-Type"]) for one in sent)
    assert got == [("all", "pix.charge.created"), ("named", "pix.charge.cancelled"), ("named", "pix.charge.created")]


async def test_the_time_an_attempt_may_take_is_the_operator_s_until_the_endpoint_has_its_own(
    database: Database, tmp_path: Path
) -> None:
    async with open_counter(database, tmp_path, webhooks_timeout_default_s=7) as counter:
        made = await hooked(counter)
        for chosen, shown in ((None, 7), (12, 12), (None, 7)):
            changed = await counter.fine("PATCH", f"/webhooks/{made['id']}", {"timeout_seconds": chosen})
            assert changed["webhook"]["timeout_seconds"] == shown


@pytest.mark.checklist("X52")
async def test_a_test_goes_to_this_endpoint_once_whatever_it_subscribes_to(counter: Counter) -> None:
    made = await hooked(counter, events=["pix.charge.paid"])
    await counter.delivers()  # makes room for attempts
    counter.receiver.answers[URL] = lambda _: says(500)
    path = f"/webhooks/{made['id']}/test"

    tested = await counter.fine("POST", path, {"message": "Olá"})

    (request,) = counter.receiver.requests
    headers, body = dict(request.headers), json.loads(request.body or b"")
    assert list(tested) == ["worked", "event_id", "delivery_id"]
    assert (headers["X-Owem-Event-Id"], headers["X-OpenTill-Delivery-Id"]) == (
        tested["event_id"],
        tested["delivery_id"],
    )
    assert list(body)[4:] == ["webhook_id", "message", "created_at"]
    assert (body["event_type"], body["webhook_id"], body["message"]) == ("webhook.test", made["id"], "Olá")
    shown = (await counter.fine("GET", f"/webhooks/{made['id']}/deliveries/{tested['delivery_id']}"))["delivery"]
    assert (shown["status"], shown["attempts"], shown["next_attempt_at"]) == ("failed", 1, None)
    assert shown["body"] == (request.body or b"").decode()
    assert [one["response_status"] for one in shown["attempt_log"]] == [500]

    keyed = {"idempotency-key": "k"}
    first, again = await counter.ask("POST", path, headers=keyed), await counter.ask("POST", path, headers=keyed)
    assert (first.body, len(counter.receiver.requests)) == (again.body, 2)
    assert json.loads(counter.receiver.requests[1].body or b"")["message"] == "Test event from OpenTill"

    declined(await counter.ask("POST", path, {"message": "x" * 141}), 422, "message must be at most 140 characters")
    declined(await counter.ask("POST", path, {"message": 7}), 422, "message must be a string")
    declined(await counter.ask("POST", "/webhooks/wh_000000000000/test"), 404, "Webhook not found")
    await counter.fine("PATCH", f"/webhooks/{made['id']}", {"is_active": False})
    declined(await counter.ask("POST", path), 422, "Webhook is not active")


@pytest.mark.checklist("X52")
async def test_what_was_held_is_sent_again_by_hand(counter: Counter) -> None:
    made = await hooked(counter)
    path = f"/webhooks/{made['id']}"
    await counter.fine("PATCH", path, {"is_active": False})
    await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
    assert await counter.delivers() == []
    (held,) = (await counter.fine("GET", f"{path}/deliveries"))["data"]
    assert (held["status"], held["attempts"], held["last_attempt"]) == ("held", 0, None)
    again = f"{path}/deliveries/{held['id']}/redeliver"
    declined(await counter.ask("POST", again), 422, "Webhook is not active")

    await counter.fine("PATCH", path, {"is_active": True})
    new = await counter.fine("POST", again)
    declined(
        await counter.ask("POST", f"{path}/deliveries/{new['delivery_id']}/redeliver"),
        422,
        "Delivery is still in progress",
    )
    (sent,) = await counter.delivers()

    assert new["event_id"] == held["event_id"] == sent["X-Owem-Event-Id"]
    assert sent["X-OpenTill-Delivery-Id"] == new["delivery_id"] != held["id"]
    old = (await counter.fine("GET", f"{path}/deliveries/{held['id']}"))["delivery"]
    assert old["body"] == sent["body"].decode()
    names = [one["status"] for one in (await counter.fine("GET", f"{path}/deliveries"))["data"]]
    assert names == ["succeeded", "held"]
    declined(await counter.ask("GET", f"{path}/deliveries/dlv_none"), 404, "Delivery not found")


async def test_deliveries_are_paged_and_narrowed(counter: Counter) -> None:
    made = await hooked(counter)
    path = f"/webhooks/{made['id']}/deliveries"
    charges = [await counter.fine("POST", "/pix/cash-in", {"amount": 3000}) for _ in range(5)]
    await counter.fine("POST", f"/sandbox/charges/{charges[0]['transaction_id']}/expire")
    for _ in range(7):
        await counter.delivers()

    async def ids(query: str) -> list[str]:
        return [one["id"] for one in (await counter.fine("GET", f"{path}?{query}"))["data"]]

    everything = await ids("")
    assert len(everything) == 6
    assert await ids("per_page=4") + await ids("per_page=4&page=2") == everything
    assert await ids("per_page=4&page=3") == await ids("status=failed") == await ids("event=pix.charge.paid") == []
    assert await ids("event=pix.charge.expired") == everything[:1]
    assert await ids("status=succeeded") == everything
    await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
    counter.receiver.answers[URL] = lambda _: says(500)
    await counter.delivers()
    (waiting,) = await ids("status=retrying")
    assert await ids("status=pending") == await ids("status=held") == []
    await counter.fine("PATCH", f"/webhooks/{made['id']}", {"is_active": False})
    assert (await ids("status=held"), await ids("status=retrying")) == ([waiting], [])
    for query in ("page=0", "per_page=101", "status=odd", "page=x", f"page={10**10}"):
        declined(await counter.ask("GET", f"{path}?{query}"), 422, f"{query.partition('=')[0]} is invalid")


@pytest.mark.checklist("X18")
async def test_bodies_stay_in_snake_case_whatever_case_their_owner_writes(counter: Counter) -> None:
    camel: dict[str, str | None] = {"x-key-case": "camelCase"}
    made = await counter.fine("POST", "/webhooks", {"url": URL}, headers=camel)
    await counter.fine("POST", "/pix/cash-in", {"amount": 3000, "externalId": "a-1"}, headers=camel)
    (sent,) = await counter.delivers()
    assert {"event_type", "account_id", "transaction_id", "external_id"} <= set(json.loads(sent["body"]))
    path = f"/webhooks/{made['id']}"
    listed = await counter.fine("GET", f"{path}/deliveries?perPage=1", headers=camel)
    assert {"eventId", "nextAttemptAt", "lastAttempt"} <= set(listed["data"][0])
    assert "responseStatus" in listed["data"][0]["lastAttempt"]
    shown = await counter.fine("GET", f"{path}/deliveries/{listed['data'][0]['id']}", headers=camel)
    assert "startedAt" in shown["delivery"]["attemptLog"][0]
    assert "event_type" in shown["delivery"]["body"]
    changed = await counter.fine("PATCH", path, {"timeoutSeconds": 7, "retrySchedule": [60]}, headers=camel)
    assert (changed["webhook"]["timeoutSeconds"], changed["webhook"]["retrySchedule"]) == (7, [60])
