"""/webhooks of the merchant API: endpoints, tests, deliveries (merchant-api.md §9.13)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opentill.web.engine import engine_of
from opentill.webhooks import planning
from tests.contract.api.client import Response
from tests.contract.api.house import PAYMENT, House
from tests.fakes.receiver import Receiver, Reply

pytestmark = pytest.mark.anyio

HOOK = {"url": "https://shop.example/hook", "events": ["payment.*"]}


@pytest.fixture
async def receiver(house: House) -> AsyncIterator[Receiver]:
    """A receiver on this machine, which the merchant may reach."""
    await house.keeps_attempts()
    async with Receiver() as opened:
        await house.run("""update merchant set outbound_allow = '["127.0.0.1"]'""")
        yield opened


async def made(house: House, **fields: Any) -> dict[str, Any]:
    answer = await house.merchant("POST", "/webhooks", {**HOOK, **fields})
    assert answer.status == 201, answer.body
    data: dict[str, Any] = answer.json()["data"]
    return data


def errors(answer: Response) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


async def test_an_endpoint_is_registered_shown_changed_and_removed(house: House) -> None:
    new = await made(house, signature_format="bare", amount_format="number", payments="own", description="Loja")
    by_number = await house.merchant("GET", f"/webhooks/{new['id']}")
    by_name = await house.merchant("GET", f"/webhooks/{new['webhook_id']}")
    changed = await house.merchant("PATCH", f"/webhooks/{new['id']}", {"status": "inactive", "events": ["*"]})
    listed = (await house.merchant("GET", "/webhooks")).json()["data"]
    gone = await house.merchant("DELETE", f"/webhooks/{new['id']}")

    secret = new.pop("secret")
    assert secret.startswith("whsec_")
    assert (new["signature_format"], new["amount_format"], new["payments"]) == ("bare", "number", "own")
    assert by_number.json()["data"] == by_name.json()["data"] == new
    assert changed.json()["data"] == {**new, "status": "inactive", "events": ["*"]}
    assert listed == [changed.json()["data"]]
    assert secret not in str(listed)
    assert gone.status == 200
    assert (await house.merchant("GET", f"/webhooks/{new['id']}")).json()["code"] == "ENDPOINT_NOT_FOUND"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"url": "nowhere"}, ("url", "INVALID_URL")),
        ({"url": None}, ("url", "INVALID_URL")),
        ({"events": ["payment.paid"]}, ("events", "INVALID_EVENTS")),
        ({"events": "payment.*"}, ("events", "INVALID_EVENTS")),
        ({"secret": "short"}, ("secret", "INVALID_SECRET")),
        ({"signature_format": "round"}, ("signature_format", "VALIDATION_FAILED")),
        ({"max_concurrency": 51}, ("max_concurrency", "VALIDATION_FAILED")),
        ({"max_concurrency": "many"}, ("max_concurrency", "VALIDATION_FAILED")),
    ],
)
async def test_wrong_fields_of_an_endpoint_are_named(
    house: House, fields: dict[str, object], fault: tuple[str, str]
) -> None:
    answer = await house.merchant("POST", "/webhooks", {**HOOK, **fields})

    assert answer.status == 422
    assert errors(answer) == [fault]
    assert (await house.merchant("GET", "/webhooks")).json()["data"] == []


async def test_the_same_url_twice_is_a_conflict(house: House) -> None:
    await made(house)

    again = await house.merchant("POST", "/webhooks", HOOK)

    assert (again.status, again.json()["code"]) == (409, "ENDPOINT_EXISTS")


@pytest.mark.checklist("M60")
async def test_a_rotated_secret_is_shown_once_and_the_old_one_signs_beside_it(house: House) -> None:
    new = await made(house)

    rotated = (await house.merchant("POST", f"/webhooks/{new['id']}/rotate-secret", {"overlap_seconds": 3600})).json()
    refused = await house.merchant("POST", f"/webhooks/{new['id']}/rotate-secret", {"overlap_seconds": 604_801})

    assert rotated["data"]["secret"] != new["secret"]
    assert rotated["data"]["previous_until"] == "2026-03-07T16:30:00Z"
    assert errors(refused) == [("overlap_seconds", "VALIDATION_FAILED")]


@pytest.mark.checklist("M28")
@pytest.mark.parametrize("body", [b"", b"[]", b"{}"])
async def test_a_test_is_sent_at_once_to_the_oldest_endpoint(house: House, receiver: Receiver, body: bytes) -> None:
    await made(house, url=receiver.url("/hook"))

    answer = await house.merchant("POST", "/webhooks/tests", body=body)

    assert (answer.status, answer.json()["data"]["status_code"]) == (200, 200), answer.body
    assert answer.json()["data"]["delivery_id"].startswith("dlv_")
    assert len(receiver.requests) == 1


async def test_a_test_that_fails_says_why(house: House, receiver: Receiver) -> None:
    nobody = await house.merchant("POST", "/webhooks/tests")
    receiver.script("/hook", Reply(status=500))
    new = await made(house, url=receiver.url("/hook"))
    failed = await house.merchant("POST", "/webhooks/tests", {"endpoint_id": new["id"]})
    unknown = await house.merchant("POST", "/webhooks/tests", {"endpoint_id": 999})

    assert (nobody.status, nobody.json()["code"]) == (400, "WEBHOOK_TEST_FAILED")
    assert (failed.status, failed.json()["code"]) == (400, "WEBHOOK_TEST_FAILED")
    assert "500" in failed.json()["message"]
    assert (unknown.status, unknown.json()["code"]) == (404, "ENDPOINT_NOT_FOUND")


async def test_deliveries_are_listed_with_what_was_sent_and_answered(house: House, receiver: Receiver) -> None:
    await made(house, url=receiver.url("/hook"))
    test = (await house.merchant("POST", "/webhooks/tests")).json()["data"]["delivery_id"]
    await house.merchant("POST", "/webhooks/tests")

    plain = (await house.merchant("GET", "/webhooks/deliveries")).json()
    paged = (await house.merchant("GET", "/webhooks/deliveries?per_page=1&status=delivered")).json()
    none = (await house.merchant("GET", "/webhooks/deliveries?event=payment.failed")).json()
    foreign = (await house.merchant("GET", "/webhooks/deliveries", key=house.other.key)).json()

    assert "meta" not in plain
    row = plain["data"][-1]
    assert (row["delivery_id"], row["event"], row["status"], row["state"]) == (
        test, "webhook.test", "delivered", "delivered",
    )  # fmt: skip
    assert json.loads(row["payload"])["event"] == "webhook.test"
    assert (row["direction"], row["status_code"], row["attempt"], row["attempts"]) == ("outbound", 200, 1, 1)
    assert type(row["id"]) is int
    assert (len(paged["data"]), paged["meta"]["total"], paged["meta"]["total_pages"]) == (1, 2, 2)
    assert (none["data"], none["meta"]["total"]) == ([], 0)
    assert foreign["data"] == []


async def test_a_delivery_of_a_payment_names_it_and_may_be_sent_again(house: House, receiver: Receiver) -> None:
    await made(house, url=receiver.url("/hook"))
    payment = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]
    engine = engine_of(house.dependencies)
    engine.trusts_database_clock = False
    await planning.plan_once(engine) if hasattr(planning, "plan_once") else None

    rows = (await house.merchant("GET", f"/webhooks/deliveries?payment_id={payment['payment_id']}")).json()["data"]

    assert [row["trx_id"] for row in rows] == [payment["trx_id"]] * len(rows)
    missing = await house.merchant("POST", "/webhooks/deliveries/dlv_000000000000000000000000/resend")
    assert (missing.status, missing.json()["code"]) == (404, "DELIVERY_NOT_FOUND")
