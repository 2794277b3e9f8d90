"""What is around an operation of the merchant API: order of checks, headers, switches, addresses (§1, §3)."""

import gzip
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opentill.api.merchant.operations import OPERATIONS
from opentill.db import Database
from opentill.operators import install
from tests.contract.api.client import Response
from tests.contract.api.house import INTENT, PAYMENT, House, open_house

pytestmark = pytest.mark.anyio

RATE = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")

# The checks of §1.3 in their order: what is wrong with a request, and what it is answered.
CHECKS = {
    "maintenance": (503, "MAINTENANCE"),
    "body too large": (413, "PAYLOAD_TOO_LARGE"),
    "too many requests": (429, "RATE_LIMIT_EXCEEDED"),
    "no such route": (404, "NOT_FOUND"),
    "no such method": (405, "METHOD_NOT_ALLOWED"),
    "wrong key": (401, "INVALID_TOKEN"),
    "merchant suspended": (403, "MERCHANT_INACTIVE"),
    "address not allowed": (403, "IP_NOT_ALLOWED"),
    "scope missing": (403, "INSUFFICIENT_SCOPE"),
    "not JSON": (400, "INVALID_JSON"),
    "malformed idempotency key": (400, "INVALID_IDEMPOTENCY_KEY"),
    "idempotency key reused": (409, "IDEMPOTENCY_KEY_REUSED"),
    "wrong fields": (422, "VALIDATION_ERROR"),
}
IMPOSSIBLE = {
    frozenset({"no such route", "no such method"}),
    frozenset({"malformed idempotency key", "idempotency key reused"}),
}

PAIRS = [pair for pair in itertools.combinations(CHECKS, 2) if frozenset(pair) not in IMPOSSIBLE]


async def turned(house: House, **switches: Any) -> None:
    """Set switches of the installation, and let the next request see them."""
    await house.db.write(lambda tx: install.change(tx, now=house.clock.now(), **switches))
    house.next_second()


async def faulty(house: House, wrong: set[str]) -> Response:
    """Send a request in which all of this is wrong."""
    if "idempotency key reused" in wrong:
        await house.merchant("POST", "/payments", {**PAYMENT, "reference": "another"}, headers={"idempotency-key": "k"})
    if "too many requests" in wrong:
        await house.run("update api_key set rate_limit = 1")
        house.clock.advance(60_000_000)
        for key in ("", "op_00000000." + "0" * 48):
            await house.merchant("GET", "/nothing", key=key)
    changes = {
        "merchant suspended": "update merchant set status = 'suspended'",
        "address not allowed": """update api_key set allowed_ips = '["198.51.100.1"]'""",
        "scope missing": """update api_key set scopes = '["read"]'""",
    }
    for name in wrong & changes.keys():
        await house.run(changes[name])
    if "maintenance" in wrong:
        await turned(house, maintenance=True)
    elif "too many requests" not in wrong:
        house.next_second()
    house.merchant_api._callers.forget()

    headers = {"idempotency-key": "k"} if "idempotency key reused" in wrong else {}
    if "malformed idempotency key" in wrong:
        headers = {"idempotency-key": "caf\u00e9"}
    body = b"{" if "not JSON" in wrong else json.dumps({} if "wrong fields" in wrong else PAYMENT).encode()
    return await house.merchant(
        "PATCH" if "no such method" in wrong else "POST",
        "/nothing" if "no such route" in wrong else "/payments",
        key="op_00000000." + "0" * 48 if "wrong key" in wrong else "",
        headers=headers,
        body=body + b" " * 1_048_577 if "body too large" in wrong else body,
    )


@pytest.fixture
async def strict(database: Database, tmp_path: Path) -> House:
    """A house that takes one request of an unknown caller a minute."""
    return await open_house(database, tmp_path, address_rate_limit=1)


@pytest.mark.checklist("M8")
@pytest.mark.parametrize("pair", PAIRS, ids=" + ".join)
async def test_of_two_things_wrong_the_first_check_answers(strict: House, pair: tuple[str, str]) -> None:
    answer = await faulty(strict, set(pair))

    assert (answer.status, answer.json()["code"]) == CHECKS[pair[0]]
    assert all(name in answer.headers for name in RATE)
    await strict.close()


@pytest.mark.checklist("M6")
@pytest.mark.parametrize("target", ["/payments", "/payment-intents"])
async def test_what_is_said_of_a_key_that_does_not_open(house: House, target: str) -> None:
    unknown = "op_00000000." + "0" * 48
    said = {
        None: "MISSING_TOKEN",
        "Bearer ": "MISSING_TOKEN",
        f"Bearer {unknown}": "INVALID_TOKEN",
        "Bearer nonsense": "INVALID_TOKEN",
        f"Basic {house.shop.key}": "INVALID_TOKEN",
    }
    for header, code in said.items():
        headers = {} if header is None else {"authorization": header}
        answer = await house.merchant("POST", target, INTENT, key=None, headers=headers)
        assert (answer.status, answer.json()["code"]) == (401, code), header
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"] is True
        assert answer.json()["message"]

    for change in ("status = 'locked'", "status = 'revoked'", "status = 'active', expires_at = 1"):
        await house.run(f"update api_key set {change}")
        house.next_second()
        answer = await house.merchant("POST", target, INTENT)
        assert (answer.status, answer.json()["code"]) == (401, "INVALID_TOKEN"), change

    for scopes, method, at in (('["read"]', "POST", target), ('["write"]', "GET", f"{target}/txn_{'0' * 16}")):
        await house.run("update api_key set status = 'active', expires_at = null, scopes = :scopes", scopes=scopes)
        house.next_second()
        answer = await house.merchant(method, at, INTENT if method == "POST" else None)
        assert (answer.status, answer.json()["code"]) == (403, "INSUFFICIENT_SCOPE")
        assert answer.json()["error"] is True


@pytest.mark.checklist("M3")
async def test_each_missing_field_of_an_intent_is_named_and_all_of_them_at_once(house: House) -> None:
    required = ("gateway", "amount", "currency", "order_id", "customer_name", "customer_email", "return_url")
    for field in required:
        answer = await house.merchant("POST", "/payment-intents", {k: v for k, v in INTENT.items() if k != field})
        body = answer.json()
        assert (answer.status, body["error"], body["code"]) == (400, True, "VALIDATION_ERROR")
        assert body["errors"] == {field: [f"The {field} field is required."]}

    everything = await house.merchant("POST", "/payment-intents", {})
    assert set(everything.json()["errors"]) == set(required)


@pytest.mark.checklist("M4")
@pytest.mark.parametrize(
    ("field", "value"),
    [("currency", "XXX"), *[("amount", amount) for amount in ("0", 0, "-1", -1, "1e3", "1,000", "1.234")]],
)
async def test_a_wrong_currency_or_amount_of_an_intent_is_named(house: House, field: str, value: object) -> None:
    answer = await house.merchant("POST", "/payment-intents", {**INTENT, field: value})

    assert (answer.status, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.checklist("M5")
async def test_an_unknown_or_inactive_gateway_is_not_found(house: House) -> None:
    await house.run("update merchant_gateway set active = 0")
    for gateway in ("nobody", "sandbox"):
        answer = await house.merchant("POST", "/payment-intents", {**INTENT, "gateway": gateway})
        assert (answer.status, answer.json()["code"], answer.json()["error"]) == (404, "GATEWAY_NOT_FOUND", True)
        assert "errors" not in answer.json()


@pytest.mark.checklist("M7")
@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"content-type": "text/plain"}])
async def test_transactions_are_listed_whatever_the_content_type(house: House, headers: dict[str, str]) -> None:
    assert (await house.merchant("GET", "/transactions", headers=headers)).status == 200
    assert (await house.merchant("POST", "/payments", PAYMENT, headers=headers)).status == 201


@pytest.mark.checklist("M8")
async def test_what_is_left_falls_by_one_and_is_full_again_after_the_minute(house: House) -> None:
    def left(answer: Response) -> int:
        return int(answer.headers["x-ratelimit-remaining"])

    first = await house.merchant("GET", "/transactions")
    second = await house.merchant("POST", "/payments", PAYMENT)
    refused = await house.merchant("POST", "/payments", {})
    seconds = house.clock.now() // 1_000_000
    house.clock.advance(60_000_000)
    again = await house.merchant("GET", "/transactions")

    assert [left(first) - left(answer) for answer in (first, second, refused)] == [0, 1, 2]
    assert 0 < int(first.headers["x-ratelimit-reset"]) - seconds <= 60
    assert left(again) == left(first)


@pytest.mark.checklist("M10")
async def test_every_answer_is_json_whatever_is_asked(house: House) -> None:
    known = {operation.path for operation in OPERATIONS if operation.path != "/docs"}
    for target in (*sorted(known), "/", "/nothing", "/payments/a/b"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
            answer = await house.merchant(method, target, key=None)
            assert answer.headers["content-type"] == "application/json", (method, target)
            json.loads(answer.body)
            assert "location" not in answer.headers
            assert answer.status in (200, 401, 404, 405), (method, target)
            if answer.status == 405:
                assert "OPTIONS" in answer.headers["allow"]
        house.clock.advance(60_000_000)


async def test_one_trailing_slash_makes_no_difference(house: House) -> None:
    made = await house.merchant("POST", "/payments/", PAYMENT)
    payment_id = made.json()["data"]["payment_id"]

    assert made.status == 201
    assert (await house.merchant("GET", f"/payments/{payment_id}/")).status == 200
    assert (await house.merchant("GET", f"/payments/{payment_id}//")).status == 404
    assert "location" not in made.headers


async def test_a_head_answers_as_a_get_without_its_body(house: House) -> None:
    for target in ("/transactions", "/health", "/payments/x", "/nothing", "/openapi.json"):
        head, get = await house.merchant("HEAD", target), await house.merchant("GET", target)
        assert (head.status, head.body) == (get.status, b""), target
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_options_need_no_key_and_say_what_is_permitted(house: House) -> None:
    for target, allow in {"/payments": "POST", "/api-keys": "GET", "/api-keys/7": "DELETE"}.items():
        answer = await house.merchant("OPTIONS", target, key=None)
        assert (answer.status, answer.body) == (204, b"")
        assert allow in answer.headers["allow"]
        assert not any(name.startswith("access-control") for name in answer.headers)
    assert (await house.merchant("OPTIONS", "/nothing", key=None)).status == 404


async def test_maintenance_is_said_to_everybody_and_ends_within_a_second(house: House) -> None:
    await turned(house, maintenance=True)

    for agent, has_header in (("curl/8", True), ("GuzzleHttp/7", False)):
        answer = await house.merchant("POST", "/payments", PAYMENT, headers={"user-agent": agent})
        assert (answer.status, answer.json()["code"]) == (503, "MAINTENANCE")
        assert answer.json()["retry_after"] == 60
        assert ("retry-after" in answer.headers) is has_header
        assert all(name in answer.headers for name in RATE)

    await turned(house, maintenance=False)
    assert (await house.merchant("POST", "/payments", PAYMENT)).status == 201


async def test_only_listed_origins_may_read_answers(house: House) -> None:
    own, foreign = {"origin": "https://shop.example"}, {"origin": "https://evil.example"}
    before = await house.merchant("GET", "/transactions", headers=own)
    await turned(house, cors_origins=("https://shop.example",))
    allowed = await house.merchant("GET", "/transactions", headers=own)
    refused = await house.merchant("GET", "/transactions", headers=foreign)
    asked = await house.merchant("OPTIONS", "/payments", key=None, headers=own)

    assert "access-control-allow-origin" not in before.headers
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Origin" in allowed.headers["vary"]
    assert "access-control-allow-origin" not in refused.headers
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [
        (None, False),
        ("identity", False),
        ("gzip", True),
        ("deflate, gzip;q=0.8", True),
        ("gzip;q=0", False),
        ("br, gzip; q=0.0", False),
        ("xgzip", False),
    ],
)
async def test_long_answers_are_compressed_where_the_request_says_so(
    house: House, accepts: str | None, packed: bool
) -> None:
    for _ in range(3):
        await house.merchant("POST", "/payments", PAYMENT)

    answer = await house.merchant(
        "GET", "/transactions", headers={} if accepts is None else {"accept-encoding": accepts}
    )
    body = gzip.decompress(answer.body) if packed else answer.body

    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert len(json.loads(body)["data"]) == 3
    assert int(answer.headers["content-length"]) == len(answer.body)


@dataclass(frozen=True)
class Says:
    """What decides the form of `error`: first the Accept header, then the key, the merchant, the agent (§3.3)."""

    accept: str = ""
    key: str = "auto"
    merchant: str = "auto"
    agent: str = "curl/8"


@pytest.mark.parametrize(
    ("says", "is_text"),
    [
        (Says(), False),
        (Says(agent="OwnPay-NodeJS/1.0.3"), True),
        (Says(agent="GuzzleHttp/7"), True),
        (Says(agent="Mozilla GuzzleHttp/7"), False),
        (Says(merchant="sdk"), True),
        (Says(merchant="seed", agent="GuzzleHttp/7"), False),
        (Says(key="seed", merchant="sdk", agent="GuzzleHttp/7"), False),
        (Says(key="sdk", merchant="seed"), True),
        (Says(accept='application/json;profile="seed"', key="sdk"), False),
        (Says(accept='text/html, application/json; profile="sdk"', key="seed"), True),
    ],
)
async def test_the_first_who_says_decides_what_error_is(house: House, says: Says, is_text: bool) -> None:
    await house.run("update api_key set dialect = :dialect", dialect=says.key)
    await house.run("update merchant set settings = :settings", settings=json.dumps({"dialect": says.merchant}))
    headers = {"user-agent": says.agent, "accept": says.accept}

    client = (await house.merchant("POST", "/payments", {}, headers=headers)).json()
    seed = (await house.merchant("POST", "/payment-intents", {}, headers=headers)).json()

    assert client["error"] == (client["message"] if is_text else True)
    assert seed["error"] is True


async def test_a_validation_error_names_every_field_twice_over_and_under_the_name_that_was_sent(house: House) -> None:
    sent = {"amount": "x", "currency": "BRL", "return_url": "nowhere", "customer_email": ["a"]}

    body = (await house.merchant("POST", "/payments", sent)).json()

    assert body["code"] == "VALIDATION_ERROR"
    assert body["message"] == body["errors"][0]["message"]
    assert {error["field"]: error["code"] for error in body["errors"]} == {
        "amount": "INVALID_AMOUNT",
        "return_url": "INVALID_REDIRECT_URL",
        "customer_email": "VALIDATION_FAILED",
    }
    assert body["field_errors"] == {error["field"]: [error["message"]] for error in body["errors"]}


async def blind_key(house: House) -> str:
    """Return a key of the shop that may not read."""
    key = await house.db.write(lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=["write"]))
    return key.reveal()


@pytest.mark.checklist("M63")
async def test_health_in_all_its_cases(house: House) -> None:
    await house.run(
        "insert into worker_heartbeat (worker, started_at, seen_at) values ('w', :now, :now)", now=house.clock.now()
    )
    healthy = await house.merchant("GET", "/health")
    house.clock.advance(121_000_000)
    silent = await house.merchant("GET", "/health")
    blind = await house.merchant("GET", "/health", key=await blind_key(house))
    nobody = await house.merchant("GET", "/health", key=None)
    await house.merchant_api.settled()
    await house.db.close()
    away = await house.merchant("GET", "/health")

    assert (healthy.status, healthy.json()["data"]["status"]) == (200, "healthy")
    assert (silent.status, silent.json()["data"]["status"]) == (200, "degraded")
    assert (blind.status, blind.json()["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert (nobody.status, nobody.json()["code"]) == (401, "MISSING_TOKEN")
    assert (away.status, away.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert away.json()["data"] == {"status": "degraded", "db": "error"}
    assert set(healthy.json()["data"]) == {
        "status",
        "version",
        "db",
        "mobile",
        "gateways",
        "customers",
        "workers",
        "time",
    }
