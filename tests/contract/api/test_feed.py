"""Feeds over the merchant API: opened, read with a key or a token, acknowledged, closed (webhooks.md §11)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from opentill.api.merchant.operations import DOCUMENT as MERCHANT
from opentill.webhooks import planning
from tests.contract.api.client import Response
from tests.contract.api.house import PAYMENT, House
from tests.contract.api.test_openapi import assert_described

pytestmark = pytest.mark.anyio


async def opened(house: House, **fields: Any) -> dict[str, Any]:
    answer = await house.merchant("POST", "/webhooks/feeds", {"dialect": "standard", **fields})
    assert answer.status == 201, answer.body
    assert_described(MERCHANT, "POST", "/webhooks/feeds", answer)
    data: dict[str, Any] = answer.json()["data"]
    return data


async def pays(house: House, count: int = 1) -> None:
    """Make payments, each an event, and plan them."""
    for number in range(count):
        answer = await house.merchant("POST", "/payments", {**PAYMENT, "reference": f"ORD-{number}"})
        assert answer.status == 201
    await plan(house)


async def plan(house: House) -> None:
    await house.db.write(
        lambda tx: planning.plan(tx, ids=house.scene.ids, keyring=house.scene.keyring, now=house.clock.now())
    )


async def read(house: House, feed: dict[str, Any], query: str = "", **more: Any) -> Response:
    answer = await house.merchant("GET", f"/webhooks/{feed['id']}/feed{query}", **more)
    if answer.status in (200, 404, 409, 422):
        assert_described(MERCHANT, "GET", f"/webhooks/{feed['id']}/feed", answer)
    return answer


async def states(house: House) -> list[int]:
    found = await house.db.read(lambda tx: tx.all("select state from webhook_delivery order by id"))
    return [row["state"] for row in found]


async def test_items_come_in_order_with_numbers_and_valid_signatures(house: House) -> None:
    feed = await opened(house)
    await pays(house, 3)
    answer = (await read(house, feed)).json()
    assert [item["feed_id"] for item in answer["data"]] == [1, 2, 3]
    assert answer["meta"] == {"next": 3, "more": False}
    for item in answer["data"]:
        assert item["headers"]["webhook-id"].startswith("evt_")
        assert "payment.pending" in item["body"]
        signed = Webhook(feed["secret"]).sign(
            item["headers"]["webhook-id"],
            datetime.fromtimestamp(int(item["headers"]["webhook-timestamp"]), UTC),
            item["body"],
        )
        assert signed in item["headers"]["webhook-signature"].split(" ")


async def test_reading_on_acknowledges_and_reading_again_repeats(house: House) -> None:
    feed = await opened(house)
    await pays(house, 3)
    first = (await read(house, feed, "?limit=2")).json()
    assert first["meta"] == {"next": 2, "more": True}
    assert await states(house) == [0, 0, 0]
    second = (await read(house, feed, "?after=2&limit=2")).json()
    assert [item["feed_id"] for item in second["data"]] == [3]
    assert await states(house) == [2, 2, 0]
    again = (await read(house, feed, "?after=0")).json()
    assert [item["feed_id"] for item in again["data"]] == [1, 2, 3]
    assert [item["body"] for item in again["data"]][:2] == [item["body"] for item in first["data"]]
    assert (await read(house, feed, "?after=3")).json()["data"] == []
    assert await states(house) == [2, 2, 2]


async def test_the_token_of_a_feed_opens_this_feed_only(house: House) -> None:
    feed, other = await opened(house), await opened(house)
    await pays(house)
    bearer = {"authorization": f"Bearer {feed['feed_token']}"}
    assert len((await read(house, feed, key=None, headers=bearer)).json()["data"]) == 1
    assert (await read(house, other, key=None, headers=bearer)).status == 404
    assert (await read(house, feed, key=None, headers={"authorization": f"Bearer {feed['feed_token']}x"})).status == 404
    assert (await read(house, feed, key=None)).status == 401
    named = await house.merchant("GET", f"/webhooks/{feed['webhook_id']}/feed", key=None, headers=bearer)
    assert named.status == 200
    renewed = await house.merchant("POST", f"/webhooks/{feed['id']}/feed-token", {})
    assert_described(MERCHANT, "POST", f"/webhooks/{feed['id']}/feed-token", renewed)
    assert (await read(house, feed, key=None, headers=bearer)).status == 404
    fresh = {"authorization": f"Bearer {renewed.json()['data']['feed_token']}"}
    assert (await read(house, feed, key=None, headers=fresh)).status == 200
    stored = await house.db.read(lambda tx: tx.all("select feed_token_hash from webhook_endpoint"))
    assert feed["feed_token"] not in str([dict(row) for row in stored])


async def test_another_merchant_finds_nothing(house: House) -> None:
    feed = await opened(house)
    for method, path in (("GET", "feed"), ("DELETE", "feed"), ("POST", "feed-token")):
        answer = await house.merchant(method, f"/webhooks/{feed['id']}/{path}", key=house.other.key)
        assert answer.status == 404


async def test_a_read_waits_for_something_to_happen(house: House) -> None:
    feed = await opened(house)
    waiting = asyncio.create_task(read(house, feed, "?wait=10"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await pays(house)
    assert len((await waiting).json()["data"]) == 1


async def test_only_two_may_wait_for_one_feed(house: House) -> None:
    feed = await opened(house)
    waiting = [asyncio.create_task(read(house, feed, "?wait=10")) for _ in range(2)]
    await asyncio.sleep(0.1)
    third = await read(house, feed, "?wait=10")
    assert third.status == 429
    assert (await read(house, feed)).status == 200
    await pays(house)
    assert [(await one).status for one in waiting] == [200, 200]


async def test_wrong_questions_are_refused(house: House) -> None:
    feed = await opened(house)
    for query in ("?after=-1", "?after=x", "?limit=0", "?limit=501", "?wait=26", "?after=" + "9" * 30):
        assert (await read(house, feed, query)).status == 422, query
    for fields in ({"dialect": "x"}, {"events": "x"}, {"events": ["nothing.known"]}, {"secret": "short"}):
        assert (await house.merchant("POST", "/webhooks/feeds", {"dialect": "standard", **fields})).status == 422
    assert (await read(house, {"id": 999})).status == 404


async def test_a_closed_feed_is_gone(house: House) -> None:
    feed = await opened(house)
    await pays(house)
    answer = await house.merchant("DELETE", f"/webhooks/{feed['id']}/feed")
    assert_described(MERCHANT, "DELETE", f"/webhooks/{feed['id']}/feed", answer)
    assert (await read(house, feed)).status == 404
    assert await states(house) == [5]


@pytest.mark.checklist("F17")
@pytest.mark.bar("R7", part="F17")
async def test_many_writers_and_a_reader_that_dies_lose_nothing_and_leave_no_gap(house: House) -> None:
    await house.run("update api_key set rate_limit = 1000000")
    house.next_second()
    feed = await opened(house)
    writers = [asyncio.create_task(pays_as(house, writer)) for writer in range(8)]
    seen: list[tuple[int, str]] = []
    after = 0
    while len(seen) < 40 or not all(writer.done() for writer in writers):
        page = (await read(house, feed, f"?after={after}&limit=7")).json()
        repeated = (await read(house, feed, f"?after={after}&limit=7")).json()  # as one that died before it went on
        common = min(len(page["data"]), len(repeated["data"]))
        assert [i["feed_id"] for i in page["data"][:common]] == [i["feed_id"] for i in repeated["data"][:common]]
        seen += [(item["feed_id"], item["headers"]["webhook-id"]) for item in page["data"]]
        after = page["meta"]["next"]
        if not page["data"]:
            await plan(house)  # a writer that planned while another had the turn left its event to whoever comes next
    assert [number for number, _ in seen] == list(range(1, 41))
    assert len({event for _, event in seen}) == 40


async def pays_as(house: House, writer: int) -> None:
    for number in range(5):
        await house.merchant("POST", "/payments", {**PAYMENT, "reference": f"W{writer}-{number}"})
        await plan(house)


@pytest.mark.parametrize("dialect", [{}, [], 5, "greek", ["merchant"]])
async def test_a_dialect_nobody_speaks_is_named(house: House, dialect: object) -> None:
    answer = await house.merchant("POST", "/webhooks/feeds", {"dialect": dialect})

    assert answer.status == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["dialect"]
