"""What owners choose and entrust: conditions, headers, credentials, roots, styles (webhooks.md §4.2, §4.4, §8.1)."""

import base64
import json
from typing import Any

import pytest

from opentill.kernel.errors import Invalid
from opentill.outbound.model import Answer, OutboundRequest
from opentill.outbound.outcomes import Outcome
from opentill.webhooks import service
from opentill.webhooks.entrusted import AuthKind, Entrusted
from opentill.webhooks.model import BOUNDS, Condition, Dialect, Options, PayloadStyle
from opentill.webhooks.service import EndpointExists
from tests.contract.webhooks import documents as doc
from tests.fakes.authority import Authority
from tests.usecases.webhooks.engine import Bench, fails, says

pytestmark = pytest.mark.anyio

TOKEN_URL = "https://login.example/token"


async def one_event(bench: Bench) -> list[OutboundRequest]:
    """Have one payment complete, and return the requests that were made for it."""
    bench.receiver.requests.clear()
    await bench.happens(bench.event(payment=doc.payment(metadata={"shop": "north"})))
    await bench.plan()
    await bench.deliver()
    return bench.receiver.requests


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (("amount", "gte", "99.99"), True),
        (("amount", "gte", "100"), False),
        (("amount", "eq", "99.990"), True),
        (("amount", "lte", 99), False),
        (("currency", "in", ["BRL", "USD"]), True),
        (("currency", "ne", "USD"), False),
        (("gateway", "eq", "stripe"), True),
        (("rail", "eq", "pix"), False),
        (("reference", "prefix", "ORD-"), True),
        (("status", "eq", "completed"), True),
        (("metadata.shop", "eq", "north"), True),
        (("metadata.shop", "eq", "south"), False),
        (("metadata.none", "eq", "north"), False),
        (("metadata.none", "ne", "north"), True),
        (("metadata.none", "exists", False), True),
        (("metadata.shop", "exists", True), True),
    ],
)
async def test_an_endpoint_hears_of_what_meets_its_conditions(
    bench: Bench, condition: tuple[str, str, Any], wanted: bool
) -> None:
    await bench.endpoint(options=Options(conditions=(Condition(*condition),)))
    assert bool(await one_event(bench)) is wanted


async def test_all_conditions_must_hold_and_survive_being_stored(bench: Bench) -> None:
    both = (Condition("currency", "eq", "USD"), Condition("amount", "lte", "1"))
    endpoint, _ = await bench.endpoint(options=Options(conditions=both))
    assert endpoint.options.conditions == both
    assert await one_event(bench) == []


@pytest.mark.parametrize(
    "options",
    [
        Options(conditions=(Condition("password", "eq", "x"),)),
        Options(conditions=(Condition("amount", "like", "x"),)),
        Options(conditions=(Condition("amount", "gte", "much"),)),
        Options(conditions=(Condition("status", "in", []),)),
        Options(conditions=(Condition("status", "exists", "yes"),)),
        Options(conditions=(Condition("status", "eq", "x"),) * 11),
        Options(rate_per_s=0.01),
        Options(burst=0),
        Options(notify=("not an address",)),
        Options(ca_bundle="not a bundle"),
        Options(timeout_s=31),
        Options(max_in_flight=51),
        Options(schedule=(0,)),
    ],
)
async def test_options_out_of_their_limits_are_refused(bench: Bench, options: Options) -> None:
    with pytest.raises(Invalid):
        await bench.endpoint(options=options)


async def test_an_attempt_takes_as_long_as_its_endpoint_says_else_the_operator_and_no_longer_than_the_operator_allows(
    bench: Bench,
) -> None:
    bench.engine.timeout_default_s, bench.engine.timeout_max_s = 7, 20
    for name, chosen in (("usual", None), ("own", 3), ("long", 30)):
        await bench.endpoint(f"https://{name}.example/", options=Options(timeout_s=chosen))
    requests = await one_event(bench)
    assert {request.url: request.timeout_s for request in requests} == {
        "https://usual.example/": 7,
        "https://own.example/": 3,
        "https://long.example/": 20,
    }


async def test_a_thin_body_says_only_what_happened_to_which_object(bench: Bench) -> None:
    await bench.endpoint(dialect=Dialect.STANDARD, options=Options(payload_style=PayloadStyle.THIN))
    (request,) = await one_event(bench)
    told = json.loads(request.body or b"")
    assert told["data"] == {"object": "payment", "id": doc.payment()["uuid"]}


async def test_the_owner_s_headers_are_sent_and_hidden_in_the_log(bench: Bench) -> None:
    await bench.endpoint(entrusted=Entrusted(headers=(("X-Shop", "a-secret-word"),)))
    (request,) = await one_event(bench)
    assert dict(request.headers)["X-Shop"] == "a-secret-word"
    (attempt,) = await bench.attempts()
    assert "a-secret-word" not in attempt["detail"]
    assert ["X-Shop", "•••"] in json.loads(attempt["detail"])["headers"]
    (row,) = await bench.rows("select sealed from webhook_endpoint")
    assert "a-secret-word" not in row["sealed"]


@pytest.mark.parametrize(
    "name", ["Host", "content-type", "X-OwnPay-Event", "webhook-id", "Authorization", "Proxy-X", "Cookie", "a b", ""]
)
async def test_reserved_and_broken_header_names_are_refused(bench: Bench, name: str) -> None:
    with pytest.raises(Invalid):
        await bench.endpoint(entrusted=Entrusted(headers=((name, "x"),)))
    with pytest.raises(Invalid):
        await bench.endpoint(entrusted=Entrusted(headers=(("X-Fine", "line\r\nX-Other: 1"),)))


@pytest.mark.parametrize(
    ("entrusted", "expected"),
    [
        (
            Entrusted(kind=AuthKind.BASIC, fields={"username": "shop", "password": "pass:word"}),
            "Basic " + base64.b64encode(b"shop:pass:word").decode(),
        ),
        (Entrusted(kind=AuthKind.BEARER, fields={"token": "t0ken"}), "Bearer t0ken"),
    ],
)
async def test_basic_and_bearer_credentials_are_sent_and_hidden(
    bench: Bench, entrusted: Entrusted, expected: str
) -> None:
    await bench.endpoint(entrusted=entrusted)
    (request,) = await one_event(bench)
    assert dict(request.headers)["Authorization"] == expected
    assert expected not in (await bench.attempts())[0]["detail"]


OAUTH = Entrusted(
    kind=AuthKind.OAUTH2, fields={"token_url": TOKEN_URL, "client_id": "me", "client_secret": "s3", "scope": "hooks"}
)


def gives_token(text: str) -> Answer:
    return says(200, body=json.dumps({"access_token": text, "expires_in": 3600}).encode())


async def test_a_token_is_fetched_once_and_used_again_until_it_is_refused(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(entrusted=OAUTH)
    tokens = iter(["one", "two"])
    bench.receiver.answers[TOKEN_URL] = lambda _: gives_token(next(tokens))
    first = await one_event(bench)
    assert [request.url for request in first] == [TOKEN_URL, endpoint.url]
    assert b"grant_type=client_credentials" in (first[0].body or b"")
    assert dict(first[1].headers)["Authorization"] == "Bearer one"

    assert [request.url for request in await one_event(bench)] == [endpoint.url]
    answers = iter([says(401), says(200)])
    bench.receiver.answers[endpoint.url] = lambda _: next(answers)
    refreshed = await one_event(bench)
    assert [request.url for request in refreshed] == [endpoint.url, TOKEN_URL, endpoint.url]
    assert dict(refreshed[-1].headers)["Authorization"] == "Bearer two"


@pytest.mark.parametrize("answer", [says(403), says(200, body=b"{}"), fails(Outcome.BLOCKED_ADDRESS)])
async def test_without_a_token_nothing_is_sent_and_the_attempt_says_so(bench: Bench, answer: Answer) -> None:
    await bench.endpoint(entrusted=OAUTH)
    bench.receiver.answers[TOKEN_URL] = lambda _: answer
    assert [request.url for request in await one_event(bench)] == [TOKEN_URL]
    (attempt,) = await bench.attempts()
    assert attempt["outcome"] == "auth_failed"


async def test_a_client_certificate_and_own_roots_are_presented(bench: Bench) -> None:
    authority = Authority()
    certificate, key = authority.client_certificate("opentill.example")
    entrusted = Entrusted(kind=AuthKind.MTLS, fields={"certificate": certificate, "key": key})
    await bench.endpoint(entrusted=entrusted, options=Options(ca_bundle=authority.roots))
    (request,) = await one_event(bench)
    assert request.tls is not None
    assert (request.tls.roots, request.tls.certificate) == (authority.roots, certificate)
    with pytest.raises(Invalid):
        await bench.endpoint(
            "https://x.example/", entrusted=Entrusted(kind=AuthKind.MTLS, fields={"certificate": "x", "key": "y"})
        )


async def test_changing_an_endpoint_is_checked_like_making_one_and_audited(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.endpoint("https://other.example/hook")
    place = {"owner": bench.owner, "dialect": Dialect.MERCHANT, "endpoint_id": endpoint.id, "now": bench.clock.now()}
    with pytest.raises(EndpointExists):
        await bench.db.write(
            lambda tx: service.change_endpoint(tx, bounds=BOUNDS, url="https://other.example/hook", **place)
        )
    with pytest.raises(Invalid):
        await bench.db.write(
            lambda tx: service.change_endpoint(tx, bounds=BOUNDS, options=Options(events=("nothing",)), **place)
        )
    changed = await bench.db.write(
        lambda tx: service.change_endpoint(tx, bounds=BOUNDS, options=Options(events=("payment.*",)), **place)
    )
    assert (changed.version, changed.options.events) == (endpoint.version + 1, ("payment.*",))
    entries = await bench.rows("select action from audit_entry order by id")
    assert [entry["action"] for entry in entries] == ["webhook.create", "webhook.create", "webhook.change"]
