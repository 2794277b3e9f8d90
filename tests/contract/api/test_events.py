"""/events of the merchant API: what happened, its body, its deliveries (merchant-api.md §9.13)."""

from typing import Any

import pytest

from opentill.api.merchant.operations import DOCUMENT
from opentill.payments import flow
from tests.contract.api.house import INTENT, PAYMENT, House
from tests.contract.api.test_openapi import assert_described

pytestmark = pytest.mark.anyio


async def listed(house: House, query: str = "", key: str = "") -> list[dict[str, Any]]:
    answer = await house.merchant("GET", f"/events{query}", key=key)
    assert answer.status == 200, answer.body
    assert_described(DOCUMENT, "GET", "/events", answer)
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def test_events_are_listed_with_the_body_receivers_get(house: House) -> None:
    made = (await house.merchant("POST", "/payment-intents", INTENT)).json()["data"]
    await flow.choose_gateway(house.dependencies.tools, made["token"], "sandbox")
    await flow.submit(house.dependencies.tools, made["token"], {"outcome": "paid"})

    newest, *_, oldest = await listed(house)
    shown = await house.merchant("GET", f"/events/{newest['id']}")

    assert (newest["event"], newest["payment_id"], newest["trx_id"]) == (
        "payment.completed", made["payment_id"], made["trx_id"],
    )  # fmt: skip
    assert newest["payload"]["id"] == newest["id"]
    assert (newest["payload"]["amount"], newest["payload"]["event"]) == ("99.99", "payment.completed")
    assert (oldest["event"], oldest["payment_id"], oldest["trx_id"]) == ("customer.created", None, None)
    assert shown.json()["data"] == newest
    assert_described(DOCUMENT, "GET", "/events/x", shown)


async def test_events_are_narrowed_and_paged(house: House) -> None:
    one = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]
    house.clock.advance(86_400_000_000)
    await house.merchant("POST", "/payments", PAYMENT)

    pending = await listed(house, "?event=payment.pending")
    first = (await house.merchant("GET", "/events?per_page=1")).json()
    second = (await house.merchant("GET", f"/events?per_page=1&cursor={first['meta']['next_cursor']}")).json()

    assert len(pending) == 2
    assert [event["payment_id"] for event in await listed(house, f"?payment_id={one['payment_id']}")] == [
        one["payment_id"]
    ]
    assert len(await listed(house, "?from=2026-03-08")) == 1
    assert len(await listed(house, "?to=2026-03-07")) == 1
    assert first["data"] + second["data"] == pending
    assert first["meta"] == {**first["meta"], "total": 2, "total_pages": 2}
    assert second["meta"]["next_cursor"] is None
    assert await listed(house, "?event=payment.canceled") == []
    assert await listed(house, key=house.other.key) == []


@pytest.mark.parametrize("doc", [b"{}", b"[]", b"{", b"x\x9cdamaged", b"", b'{"payment": 7}'])
async def test_an_event_whose_document_is_damaged_is_listed_without_its_body(house: House, doc: bytes) -> None:
    await house.merchant("POST", "/payments", PAYMENT)
    await house.run("update event set doc = :doc where merchant_type = 'payment.pending'", doc=doc)

    [event] = await listed(house, "?event=payment.pending")

    assert (event["event"], event["payload"]) == ("payment.pending", None)


async def test_deliveries_stand_with_their_event(house: House) -> None:
    hook = (await house.merchant("POST", "/webhooks", {"url": "https://shop.example/hook"})).json()["data"]
    await house.merchant("POST", "/payments", PAYMENT)
    await house.run(
        """
        insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, created_at)
        select 'dlv_00112233445566778899aabb', max(seq), :endpoint_id, 'payment.pending', 'merchant/1/string', 'x', 0
          from event
        """,
        endpoint_id=hook["id"],
    )

    [event] = await listed(house, "?event=payment.pending")

    assert [(one["delivery_id"], one["endpoint_id"], one["state"]) for one in event["deliveries"]] == [
        ("dlv_00112233445566778899aabb", hook["id"], "pending")
    ]


async def test_an_unknown_event_is_not_found(house: House) -> None:
    answer = await house.merchant("GET", "/events/evt_000000000000000000000000")
    wrong = await house.merchant("GET", "/events?from=yesterday")

    assert (answer.status, answer.json()["code"]) == (404, "EVENT_NOT_FOUND")
    assert (wrong.status, wrong.json()["errors"][0]["code"]) == (422, "INVALID_DATE")
