"""The published keys: what a receiver fetches to verify asymmetric signatures (webhooks.md §6.4)."""

import base64
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nacl.signing import VerifyKey

from opentill.api.well_known import WellKnownKeys
from opentill.kernel.asgi import Scope
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.web.dependencies import Dependencies
from opentill.webhooks.model import Dialect
from opentill.webhooks.signing_keys import WELL_KNOWN
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(database: Any) -> Bench:
    return await Bench(database).start()


async def get(bench: Bench, path: str, query: str = "", method: str = "GET") -> tuple[int, dict[bytes, bytes], Any]:
    """Return status, headers and document of a request."""
    edge = WellKnownKeys(cast(Dependencies, SimpleNamespace(db=bench.db, clock=bench.clock)))
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "path": WELL_KNOWN + path, "query_string": query.encode(), "headers": []}
    await edge(cast(Scope, scope), receive, send)
    return told[0]["status"], dict(told[0]["headers"]), json.loads(told[1]["body"])


async def test_a_receiver_verifies_an_attempt_with_the_key_it_fetches(bench: Bench) -> None:
    await bench.endpoint(dialect=Dialect.STANDARD)
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()
    (request,) = bench.receiver.requests
    sent = dict(request.headers)

    status, headers, found = await get(bench, f"/{bench.merchant.uuid}/jwks.json", "mode=sandbox")
    (key,) = found["keys"]
    assert (status, headers[b"cache-control"]) == (200, b"public, max-age=300")
    assert key.keys() == {"kty", "crv", "alg", "use", "kid", "x"}
    assert key["kid"] == sent["X-OpenTill-Key-Id"]
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + (request.body or b"")
    token = sent["webhook-signature"].split(" ")[-1].removeprefix("v1a,")
    VerifyKey(base64.urlsafe_b64decode(key["x"] + "=")).verify(signed, base64.b64decode(token))


async def test_live_and_sandbox_have_keys_of_their_own(bench: Bench) -> None:
    await bench.endpoint(owner=Owner(bench.merchant.id, Mode.LIVE))
    live = (await get(bench, f"/{bench.merchant.uuid}/jwks.json"))[2]["keys"]
    sandbox = (await get(bench, f"/{bench.merchant.uuid}/jwks.json", "mode=sandbox"))[2]["keys"]
    assert (len(live), sandbox) == (1, [])


async def test_without_a_merchant_in_the_path_only_a_single_merchant_is_meant(bench: Bench) -> None:
    await bench.endpoint()
    assert (await get(bench, "/jwks.json", "mode=sandbox"))[0] == 200
    await bench.new_merchant("Outra Loja")
    assert (await get(bench, "/jwks.json", "mode=sandbox"))[0] == 404


@pytest.mark.parametrize("path", ["", "/", "/jwks.json/", "/nobody/jwks.json", f"/{'0' * 36}/jwks.json"])
async def test_whatever_else_is_asked_for_does_not_exist(bench: Bench, path: str) -> None:
    status, headers, _ = await get(bench, path)
    assert (status, headers.get(b"cache-control")) == (404, None)
    assert (await get(bench, "/jwks.json", method="POST"))[0] == 404
