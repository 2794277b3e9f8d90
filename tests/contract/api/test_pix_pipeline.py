"""The pipeline of the PIX API: every check, the order of each two, and every text it answers (pix-api.md §2, §8.1)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from opentill.api.external.operations import DESCRIBED
from opentill.db import Database
from opentill.merchants.model import DEFAULT_PERMISSIONS
from opentill.web.routes import SANDBOX
from tests.contract.api.client import Response
from tests.contract.api.house import CASH_IN, HOOK, House, open_house, signature

pytestmark = pytest.mark.anyio

NESTED = b'{"a":' * 33 + b"1" + b"}" * 33


def stopped(answer: Response, status: int, message: str) -> None:
    assert (answer.status, answer.json()) == (status, {"error": {"status": status, "message": message}})


@dataclass
class Attempt:
    """A request as it is put together: good, until faults spoil it. What must hold of the house comes last."""

    method: str = "POST"
    path: str = "/webhooks"
    body: bytes = b'{"url":"https://yoursite.com/webhook"}'
    headers: dict[str, str | None] = field(default_factory=dict)
    sql: list[str] = field(default_factory=list)
    per_minute: int = 60_000


@dataclass(frozen=True)
class Step:
    """One check, how a request fails it, and what then is said."""

    name: str
    status: int
    message: str
    spoil: Callable[[Attempt], None]


def header(name: str, value: str | None) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.headers.update({name: value})


def sql(text: str) -> Callable[[Attempt], None]:
    return lambda attempt: attempt.sql.append(text)


def sets(**changes: Any) -> Callable[[Attempt], None]:
    return lambda attempt: [setattr(attempt, name, value) for name, value in changes.items()] and None


NO_CREDENTIALS = "Missing API key credentials. Use Authorization: ApiKey <client_id>:<client_secret>"
NOT_LISTED = """update pix_credential set check_ips = 1, allowed_ips = '["198.51.100.1"]'"""
NO_PERMISSION = "update pix_credential set permissions = '[]'"
STEPS = (
    Step("path", 404, "Not found", sets(path="/nothing")),
    Step("method", 405, "Method not allowed", sets(method="PUT")),
    Step("size", 413, "Request body too large", sets(body=b'{"a":"' + b"x" * 262_144 + b'"}')),
    Step("type", 415, "Unsupported Content-Type. Use application/json", header("content-type", "text/plain")),
    Step("case", 400, "Unsupported X-Key-Case value", header("x-key-case", "kebab-case")),
    Step("credential", 401, NO_CREDENTIALS, header("authorization", None)),
    Step("address", 403, "ip not allowed", sql(NOT_LISTED)),
    Step("merchant", 403, "account inactive", sql("update merchant set status = 'suspended'")),
    Step("no hmac", 401, "Missing HMAC header", header("hmac", None)),
    Step("json", 400, "Invalid JSON body", sets(body=b"{]")),
    Step("hmac", 401, "Invalid HMAC signature", header("hmac", "0" * 128)),
    Step("rate", 429, "Too many requests", sets(per_minute=0)),
    Step("idempotency", 400, "Idempotency-Key is invalid", header("idempotency-key", "ç")),
    Step(
        "permission",
        403,
        "API key lacks permission: webhook:write",
        sql("update pix_credential set permissions = '[]'"),
    ),
)
# One of two can be failed only: a body that is too large or malformed is one body, a header is there or not.
APART = {("size", "json"), ("no hmac", "hmac"), ("path", "method")}
RESTORE = (
    "update pix_credential set check_ips = 0, permissions = :permissions",
    "update merchant set status = 'active'",
)


async def made(houses: dict[int, House], attempt: Attempt) -> Response:
    house = houses[attempt.per_minute]
    for text in attempt.sql:
        await house.run(text)
    house.next_second()
    answer = await house.pix(attempt.method, attempt.path, body=attempt.body, headers=attempt.headers)
    if attempt.sql:
        await house.run(RESTORE[0], permissions=str(sorted(DEFAULT_PERMISSIONS)).replace("'", '"'))
        await house.run(RESTORE[1])
    return answer


@pytest.mark.checklist("X10", "X11")
async def test_of_each_two_failing_checks_the_earlier_answers(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, pix_rate_failed_per_minute=100_000)
    strict = House(
        database,
        house.scene,
        house.dependencies.settings.__class__(
            data=tmp_path, public_url="https://pay.example.com", pix_rate_authenticated_per_minute=0
        ).completed(),
    )
    strict.shop, strict.other = house.shop, house.other
    houses = {60_000: house, 0: strict}
    for step in STEPS:
        attempt = Attempt()
        step.spoil(attempt)
        stopped(await made(houses, attempt), step.status, step.message)
    for first, second in combinations(STEPS, 2):
        if (first.name, second.name) in APART:
            continue
        attempt = Attempt()
        second.spoil(attempt)
        first.spoil(attempt)
        answer = await made(houses, attempt)
        assert (answer.status, answer.json()["error"]["message"]) == (first.status, first.message), second.name
    assert (await made(houses, Attempt())).status == 201
    await house.close()
    await strict.close()


@pytest.mark.checklist("X11")
async def test_the_rest_of_what_a_pipeline_says(house: House) -> None:
    long = {"idempotency-key": "k" * 257}
    stopped(
        await house.pix("POST", "/webhooks", HOOK, headers=long), 400, "Idempotency-Key must be at most 256 characters"
    )
    for key in ("", "a\tb"):
        answer = await house.pix("POST", "/webhooks", HOOK, headers={"idempotency-key": key})
        stopped(answer, 400, "Idempotency-Key is invalid")
    wrong = {"authorization": f"ApiKey {house.shop.client_id}:sk_test_no"}
    stopped(await house.pix("GET", "/webhooks", headers=wrong), 401, "Invalid API key credentials")
    form = {"content-type": "multipart/form-data; boundary=x"}
    answer = await house.pix("POST", "/webhooks", body=b"--x--", headers=form)
    stopped(answer, 415, "Unsupported Content-Type. Use application/json")
    await house.run("update pix_credential set check_ips = 1, allowed_ips = '[]'")
    house.next_second()
    stopped(await house.pix("GET", "/webhooks"), 403, "ip whitelist required")


@pytest.mark.checklist("X14")
@pytest.mark.parametrize(
    "body",
    [
        b'{"url":"https://a.example/","url":"https://b.example/"}',
        b'{"a":{"b":1,"b":1}}',
        b"[]",
        b'["https://a.example/"]',
        b"7",
        b'"text"',
        b"null",
        b"\xef\xbb\xbf{}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        NESTED,
        b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
        b'{"a":"\xff"}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b"{",
        b"{} {}",
        b"{'a':1}",
        b'{"a":01}',
    ],
)
async def test_what_is_no_json_object_is_refused_signed_or_not(house: House, body: bytes) -> None:
    stopped(await house.pix("POST", "/webhooks", body=body), 400, "Invalid JSON body")
    wrong: dict[str, str | None] = {"hmac": "0" * 128}
    stopped(await house.pix("POST", "/pix/cash-in", body=body, headers=wrong), 400, "Invalid JSON body")
    stopped(await house.pix("POST", "/webhooks", body=body, headers={"hmac": None}), 401, "Missing HMAC header")


@pytest.mark.checklist("X14")
async def test_thirty_two_levels_are_read_and_only_one_operation_needs_no_signature(house: House) -> None:
    deep = b'{"cpf":"12345678909","a":' + b"[" * 31 + b"]" * 31 + b"}"
    assert (await house.pix("POST", "/cpf/validate", body=deep)).status == 200
    for operation in DESCRIBED:
        path = operation.path.replace("{id}", "x").replace("{delivery_id}", "y")
        if operation.method in ("POST", "PATCH"):
            answer = await house.pix(operation.method, path, headers={"hmac": None})
            if operation.path == "/cpf/validate":
                assert answer.status == 400
                assert "error" not in answer.json()
            else:
                stopped(answer, 401, "Missing HMAC header")
            bad = await house.pix(operation.method, path, headers={"hmac": "0" * 128})
            stopped(bad, 401, "Invalid HMAC signature")
        else:
            wrong: dict[str, str | None] = {"hmac": "no", "idempotency-key": "ç"}
            answer = await house.pix(operation.method, path, headers=wrong)
            assert answer.status in (200, 404, 422), operation.path


@pytest.mark.checklist("X17")
async def test_each_operation_asks_for_its_permission_and_the_usual_ones_reach_all_but_approving(
    house: House,
) -> None:
    allowed = {operation.permission for operation in DESCRIBED} - {SANDBOX}
    assert allowed - set(DEFAULT_PERMISSIONS) == {"transfer:approve"}
    for permission in sorted(allowed):
        everything_else = await house.credential(house.shop, *(allowed - {permission}))
        only = await house.credential(house.shop, permission)
        for operation in DESCRIBED:
            if operation.permission == SANDBOX:
                continue
            path = operation.path.replace("{id}", "x").replace("{delivery_id}", "y")
            lacking = only if operation.permission != permission else everything_else
            answer = await house.pix(operation.method, path, shop=lacking)
            stopped(answer, 403, f"API key lacks permission: {operation.permission}")
            having = everything_else if operation.permission != permission else only
            assert (await house.pix(operation.method, path, shop=having)).status in (200, 400, 404, 422), operation.path


@pytest.mark.checklist("X19")
async def test_what_is_left_is_said_on_every_authenticated_answer_and_the_next_is_429(house: House) -> None:
    for operation in DESCRIBED:
        path = operation.path.replace("{id}", "x").replace("{delivery_id}", "y")
        answer = await house.pix(operation.method, path)
        said = {name for name in answer.headers if name.startswith("x-ratelimit")}
        expected = set() if operation.path == "/balance" else {"x-ratelimit-limit", "x-ratelimit-remaining"}
        assert said == expected, operation.path

    house.clock.advance(60_000_000)
    counters = house.external_api._requests  # 60,000 calls would take a minute
    for _ in range(59_999):
        await counters.take("203.0.113.9", 60_000, house.clock.now())
    last = await house.pix("GET", "/webhooks")
    refused = await house.pix("GET", "/webhooks")
    assert (last.status, last.headers["x-ratelimit-remaining"]) == (200, "0")
    stopped(refused, 429, "Too many requests")
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await house.pix("GET", "/balance")).status == 200
    assert (await house.pix("GET", "/webhooks", peer="203.0.113.10")).status == 200
    house.clock.advance(60_000_000)
    assert (await house.pix("GET", "/webhooks")).status == 200


# the switches of §20


async def test_another_body_under_a_key_is_refused_where_the_operator_wants_that(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path, pix_idempotency_body_check=True)
    keyed: dict[str, str | None] = {"idempotency-key": "k"}
    for path, fields, other in (
        ("/webhooks", HOOK, {"url": "https://b.example/"}),
        ("/pix/cash-in", CASH_IN, {"amount": 1}),
    ):
        first = await house.pix("POST", path, fields, headers=keyed)
        again = await house.pix("POST", path, fields, headers=keyed)
        stopped(await house.pix("POST", path, other, headers=keyed), 422, "Idempotency-Key was used with another body")
        assert (first.status, first.body) == (again.status, again.body)
    await house.close()


async def test_a_bad_external_id_is_dropped_where_the_operator_wants_that(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, pix_compat_external_id_invalid="null")
    for bad in ("a b", "", "x" * 129, 7, [], "ção"):
        made = await house.pix("POST", "/pix/cash-in", {"amount": 1, "external_id": bad})
        assert (made.status, made.json()["external_id"]) == (200, None), bad
    kept = await house.pix("POST", "/pix/cash-in", {"amount": 1, "external_id": " a-1 "})
    assert kept.json()["external_id"] == "a-1"
    await house.close()


async def test_a_charge_lives_as_long_as_the_operator_says(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, pix_charge_ttl_seconds=3_600)
    assert (await house.pix("POST", "/pix/cash-in", CASH_IN)).json()["expires_at"] == "2026-03-07T16:30:00Z"
    await house.close()


async def test_a_merchant_has_as_many_endpoints_as_the_operator_says(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, pix_webhooks_max_endpoints=2)
    answers = [await house.pix("POST", "/webhooks", HOOK) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 422]
    assert answers[2].json()["detail"] == "Webhook limit reached (2)"
    await house.close()


async def test_a_reason_is_missed_where_the_operator_wants_one(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, pix_compat_refund_reason_required=True)
    answer = await house.pix("POST", "/pix/refund", {"original_transaction_id": "x"})
    assert (answer.status, answer.json()["detail"]) == (400, "The reason field is required")
    answer = await house.pix("POST", "/pix/refund", {"original_transaction_id": "x", "return_code": "MD06"})
    assert (answer.status, answer.json()["detail"]) == (404, "Original transaction not found")
    await house.close()


@pytest.mark.checklist("X11")
async def test_a_host_may_be_for_one_mode_only(database: Database, tmp_path: Path) -> None:
    house = await open_house(
        database, tmp_path, pix_live_host="api.example.com", pix_sandbox_host="sandbox.example.com"
    )
    for host, status in (("sandbox.example.com", 200), ("SANDBOX.example.com:8443", 200), ("127.0.0.1", 200)):
        assert (await house.pix("GET", "/webhooks", headers={"host": host})).status == status
    answer = await house.pix("GET", "/webhooks", headers={"host": "api.example.com"})
    stopped(answer, 403, "mode not allowed on this host")
    await house.close()


async def test_the_canonical_digest_signs_whatever_is_whole(house: House) -> None:
    body = b'{ "url" : "https://yoursite.com/webhook", "description" : "ol\\u00e1" }'
    canonical = '{"description":"olá","url":"https://yoursite.com/webhook"}'.encode()
    answer = await house.pix(
        "POST", "/webhooks", body=body, headers={"hmac": signature(house.shop.client_secret, canonical)}
    )
    assert (answer.status, answer.json()["description"]) == (201, "olá")
