"""The merchant API, as the seed page and merchant-api.md §9 say it."""

import re
from typing import Any

import pytest

from tests.contract.api.house import INTENT, PAYMENT, PUBLIC_URL, House

pytestmark = [pytest.mark.anyio, pytest.mark.bar("C16")]

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.mark.checklist("M1")
async def test_an_intent_is_created_as_the_seed_page_says(house: House) -> None:
    made = await house.merchant("POST", "/payment-intents", INTENT)

    assert made.status == 201
    answer = made.json()
    assert list(answer) == ["success", "message", "transaction_id", "payment_url", "status", "expires_at", "data"]
    assert answer["success"] is True
    assert answer["message"] == "Payment created."
    assert answer["status"] == "pending"
    assert re.fullmatch(r"txn_[0-9a-f]{16}", answer["transaction_id"])
    assert TIME.fullmatch(answer["expires_at"])
    assert re.fullmatch(PUBLIC_URL + r"/checkout/[0-9a-f]{64}", answer["payment_url"])
    assert set(answer["data"]) == CREATED
    assert UUID.fullmatch(answer["data"]["payment_id"])
    assert answer["data"]["amount"] == "99.99"
    assert answer["data"]["currency"] == "USD"
    assert answer["data"]["reference"] == answer["data"]["order_id"] == "ORD-1001"


async def test_a_payment_is_created_for_the_official_clients(house: House) -> None:
    made = await house.merchant("POST", "/payments", PAYMENT)

    assert made.status == 201
    assert list(made.json()) == ["success", "data"]
    assert set(made.json()["data"]) == CREATED
    assert made.json()["data"]["status"] == "pending"
    assert made.json()["data"]["amount"] == "99.90"


async def test_a_payment_is_read_by_its_uuid_and_by_its_reference(house: House) -> None:
    data = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]

    by_uuid = await house.merchant("GET", f"/payments/{data['payment_id']}")
    by_reference = await house.merchant("GET", f"/payments/{data['trx_id']}")

    assert by_uuid.status == 200
    assert by_uuid.json() == by_reference.json()
    payment = by_uuid.json()["data"]
    assert isinstance(payment["id"], int)
    assert payment["payment_id"] == payment["uuid"] == data["payment_id"]
    assert payment["status"] == "pending"
    assert payment["net_amount"] is None
    assert "customer" not in payment


async def test_an_intent_is_read_with_its_flat_fields(house: House) -> None:
    made = (await house.merchant("POST", "/payment-intents", INTENT)).json()

    read = await house.merchant("GET", f"/payment-intents/{made['transaction_id']}")

    assert read.status == 200
    assert list(read.json()) == ["success", "transaction_id", "payment_url", "status", "expires_at", "data"]
    assert read.json()["data"]["customer"] == {"name": "Jane Smith", "email": "jane@example.com", "phone": None}


async def test_a_payment_past_its_time_is_never_shown_as_pending(house: House) -> None:
    data = (await house.merchant("POST", "/payments", {**PAYMENT, "expires_in": 60})).json()["data"]
    house.clock.advance(60_000_000)

    read = await house.merchant("GET", f"/payments/{data['payment_id']}")

    assert read.json()["data"]["status"] == "expired"


async def test_numbers_in_metadata_come_back_as_numbers(house: House) -> None:
    sent = {"cart": 7, "rate": 1.5, "lines": [{"sku": "A-1", "n": 2}], "gift": True, "note": None}
    made = (await house.merchant("POST", "/payments", {**PAYMENT, "metadata": sent})).json()["data"]

    read = await house.merchant("GET", f"/payments/{made['payment_id']}")

    assert read.json()["data"]["metadata"] == sent


async def test_a_transaction_is_found_by_every_name_it_has(house: House) -> None:
    made = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]
    first = (await house.merchant("GET", f"/transactions/{made['trx_id']}")).json()["data"]

    for name in (made["payment_id"], made["payment_id"].upper(), str(first["id"])):
        assert (await house.merchant("GET", f"/transactions/{name}")).json()["data"] == first
    assert first["status"] == first["payment_status"] == "pending"
    assert first["customer"] == {"name": None, "email": None, "phone": None}


async def test_transactions_are_listed_newest_first_in_pages(house: House) -> None:
    references = [await create(house, reference=f"ORD-{number}") for number in range(5)]

    first = await house.merchant("GET", "/transactions?per_page=2")
    second = await house.merchant("GET", "/transactions?per_page=2&page=2")
    third = await house.merchant("GET", "/transactions/?per_page=2&page=3")
    beyond = await house.merchant("GET", "/transactions?per_page=2&page=4")

    pages = [first, second, third]
    assert [row["trx_id"] for page in pages for row in page.json()["data"]] == references[::-1]
    assert first.json()["meta"].keys() == {"page", "per_page", "total", "total_pages", "next_cursor"}
    assert (first.json()["meta"]["total"], first.json()["meta"]["total_pages"]) == (5, 3)
    assert third.json()["meta"]["next_cursor"] is None
    assert beyond.status == 200
    assert beyond.json()["data"] == []


async def test_cursors_walk_the_whole_list(house: House) -> None:
    references = [await create(house, reference=f"ORD-{number}") for number in range(5)]

    walked, cursor = [], ""
    while cursor is not None:
        page = (await house.merchant("GET", f"/transactions?per_page=2&page=9&cursor={cursor}")).json()
        if not cursor:
            page = (await house.merchant("GET", "/transactions?per_page=2")).json()
        assert page["meta"]["page"] == 1
        walked += [row["trx_id"] for row in page["data"]]
        cursor = page["meta"]["next_cursor"]

    assert walked == references[::-1]


@pytest.mark.parametrize(
    ("asked", "page", "per_page"),
    [
        ("", 1, 25),
        ("page=0&per_page=0", 1, 1),
        ("page=-3&per_page=-1", 1, 1),
        ("page=abc&per_page=x", 1, 25),
        ("per_page=1000", 1, 100),
        ("page=99999999999999999999999&per_page=99999999999999999999", 999_999_999, 100),
    ],
)
async def test_page_numbers_are_clamped_and_never_refused(house: House, asked: str, page: int, per_page: int) -> None:
    listed = await house.merchant("GET", f"/transactions?{asked}")

    assert listed.status == 200
    assert (listed.json()["meta"]["page"], listed.json()["meta"]["per_page"]) == (page, per_page)
    assert listed.json()["meta"]["total_pages"] == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=pending", 2),
        ("status=pending,completed", 2),
        ("status=completed", 0),
        ("status=created,no-such-word", 0),
        ("reference=ORD-1", 1),
        ("order_id=ORD-2", 1),
        ("reference=ORD", 0),
        ("gateway=sandbox", 0),
        ("from=2026-03-07&to=2026-03-07", 2),
        ("from=2026-03-08", 0),
        ("to=2026-03-06", 0),
        ("from=2026-03-07T15:30:00Z&to=2026-03-07T15:30:00Z", 2),
        ("from=2026-03-07T12:30:00-03:00", 2),
        ("from=2026-03-07T18:30:01+03:00", 0),
        ("from=2026-03-07T18:30:00 03:00", 2),
        ("to=2026-03-07T15:29:59.999999Z", 0),
        ("to=0001-01-01T00:00:00%2B23:59", 0),
        ("status=a%00b", 0),
        ("payment_id=not-a-uuid", 0),
    ],
)
async def test_lists_are_filtered(house: House, query: str, found: int) -> None:
    await create(house, reference="ORD-1")
    await create(house, reference="ORD-2")

    listed = await house.merchant("GET", f"/transactions?{query}")

    assert listed.status == 200
    assert listed.json()["meta"]["total"] == len(listed.json()["data"]) == found


async def test_the_same_request_under_one_key_happens_once(house: House) -> None:
    first = await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "k-1"})
    again = await house.merchant("POST", "/payments/", body=SPACED, headers={"idempotency-key": " k-1 "})

    assert first.status == again.status == 201
    assert first.body == again.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert int(again.headers["x-ratelimit-remaining"]) == int(first.headers["x-ratelimit-remaining"]) - 1
    assert (await house.rows())["payment"] == 1
    assert (await house.rows())["event"] == 1


async def test_keys_of_two_merchants_do_not_meet_and_expire_after_a_day(house: House) -> None:
    headers = {"idempotency-key": "k-1"}
    first = await house.merchant("POST", "/payments", PAYMENT, headers=headers)
    other = await house.merchant("POST", "/payments", PAYMENT, headers=headers, key=house.other.key)
    house.clock.advance(24 * 3600 * 1_000_000)
    later = await house.merchant("POST", "/payments", PAYMENT, headers=headers)

    assert len({first.body, other.body, later.body}) == 3
    assert "idempotent-replayed" not in other.headers
    assert "idempotent-replayed" not in later.headers


async def test_a_stored_answer_is_sealed(house: House) -> None:
    made = await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "k-1"})

    stored = await house.db.read(lambda tx: tx.all("select * from idempotency"))

    assert made.json()["data"]["token"] not in str([dict(row) for row in stored])


async def test_a_refused_request_leaves_its_key_free(house: House) -> None:
    headers = {"idempotency-key": "k-1"}
    unknown = await house.merchant("POST", "/payment-intents", {**INTENT, "gateway": "nope"}, headers=headers)
    good = await house.merchant("POST", "/payment-intents", INTENT, headers=headers)

    assert (unknown.status, good.status) == (404, 201)
    assert "idempotent-replayed" not in good.headers


@pytest.mark.checklist("M9")
async def test_limits_are_counted_per_key_and_full_again_after_the_minute(house: House) -> None:
    await house.run("update api_key set rate_limit = 3 where merchant_id = :id", id=house.shop.merchant.id)

    answers = [await house.merchant("GET", "/transactions") for _ in range(4)]
    other = await house.merchant("GET", "/transactions", key=house.other.key)
    remaining = [answer.headers["x-ratelimit-remaining"] for answer in answers]
    house.clock.advance(60_000_000)
    later = await house.merchant("GET", "/transactions")

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert remaining == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit"] == "3"
    assert int(answers[0].headers["x-ratelimit-reset"]) - house.clock.now() // 1_000_000 <= 60
    refused = answers[3].json()
    assert refused["code"] == refused["errors"][0]["code"] == "RATE_LIMIT_EXCEEDED"
    assert answers[3].headers["retry-after"] == str(refused["retry_after"])
    assert other.status == later.status == 200
    assert other.headers["x-ratelimit-limit"] == "120"


async def test_callers_without_a_key_share_a_limit_per_address(house: House) -> None:
    for _ in range(60):
        assert (await house.merchant("GET", "/transactions", key=None)).status == 401

    assert (await house.merchant("GET", "/transactions", key=None)).status == 429
    assert (await house.merchant("GET", "/nothing-here", key=None)).status == 429
    assert (await house.merchant("GET", "/transactions", key=None, peer="203.0.113.10")).status == 401
    assert (await house.merchant("GET", "/transactions")).status == 200


async def test_guzzle_gets_no_retry_after_header(house: House) -> None:
    await house.run("update api_key set rate_limit = 1")
    await house.merchant("GET", "/transactions")

    refused = await house.merchant("GET", "/transactions", headers={"user-agent": "GuzzleHttp/7"})

    assert refused.status == 429
    assert "retry-after" not in refused.headers
    assert refused.json()["retry_after"] >= 1


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, False),
        ({"user-agent": "curl/8.1"}, False),
        ({"user-agent": "OwnPay-NodeJS/1.0.0"}, True),
        ({"user-agent": "GuzzleHttp/7"}, True),
        ({"user-agent": "GuzzleHttp/7", "accept": 'application/json;profile="seed"'}, False),
        ({"accept": 'application/json; profile="sdk"'}, True),
    ],
)
async def test_official_clients_read_the_message_in_error(house: House, headers: dict[str, str], text: bool) -> None:
    client = await house.merchant("POST", "/payments", {"currency": "BRL"}, headers=headers)
    seed = await house.merchant("POST", "/payment-intents", {}, headers=headers)

    assert client.json()["error"] == (client.json()["message"] if text else True)
    assert seed.json()["error"] is True


async def test_health_tells_a_caller_with_a_key(house: House) -> None:
    silent = await house.merchant("GET", "/health")
    await house.run(
        "insert into worker_heartbeat (worker, started_at, seen_at) values ('w', :now, :now)", now=house.clock.now()
    )
    well = await house.merchant("GET", "/health")

    assert silent.status == well.status == 200
    assert silent.json()["data"]["status"] == "degraded"
    data = well.json()["data"]
    assert data["status"] == "healthy"
    assert (data["db"], data["gateways"], data["customers"]) == ("connected", 1, 0)
    assert data["mobile"] == {"connected": False, "active_devices": 0}
    assert TIME.fullmatch(data["time"])
    assert (await house.merchant("GET", "/health", key=None)).status == 401


async def test_every_answer_carries_the_fixed_headers(house: House) -> None:
    own = await house.merchant("GET", "/transactions", headers={"x-request-id": "mine-1"})
    strange = await house.merchant("GET", "/nothing", key=None, headers={"x-request-id": "caf\u00e9"})

    assert own.headers["x-request-id"] == "mine-1"
    assert re.fullmatch(r"[0-9a-f]{32}", strange.headers["x-request-id"])
    for answer in (own, strange):
        assert answer.headers["x-api-version"] == "1.0"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "User-Agent, Accept"
        assert answer.headers["content-type"] == "application/json"


async def test_head_and_options_have_no_body(house: House) -> None:
    head = await house.merchant("HEAD", "/transactions")
    options = await house.merchant("OPTIONS", "/payments", key=None)

    assert (head.status, head.body) == (200, b"")
    assert (options.status, options.body) == (204, b"")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_the_callback_of_the_node_client_is_signed_bare(house: House) -> None:
    fields = {**PAYMENT, "callback_url": "https://shop.example/hook"}
    await house.merchant("POST", "/payments", fields, headers={"user-agent": "OwnPay-NodeJS/1.0.0"})
    await house.merchant("POST", "/payments", fields)

    rows = await house.db.read(lambda tx: tx.all("select callback_bare from payment order by id"))

    assert [row["callback_bare"] for row in rows] == [1, 0]


async def test_the_use_of_a_key_is_written_down_once_a_minute(house: House) -> None:
    await house.merchant("GET", "/transactions")
    house.next_second()
    await house.merchant("GET", "/transactions", peer="203.0.113.77")
    await house.merchant_api.settled()

    prefix = house.shop.key[3:11]
    row = await house.db.read(lambda tx: tx.all("select * from api_key where prefix = :p", p=prefix))

    assert row[0]["last_used_ip"] == "203.0.113.9"
    assert house.clock.now() - row[0]["last_used_at"] == 1_000_000


async def create(house: House, **fields: Any) -> str:
    made = await house.merchant("POST", "/payments", {**PAYMENT, **fields})
    assert made.status == 201
    reference: str = made.json()["data"]["trx_id"]
    return reference


SPACED = b' { "reference" : "ORD-1","currency":"BRL",\n"amount":"99.90" } '
CREATED = {
    "payment_id",
    "token",
    "checkout_url",
    "payment_url",
    "status",
    "trx_id",
    "transaction_id",
    "amount",
    "currency",
    "reference",
    "order_id",
    "expires_at",
}
