"""Secrets of webhooks are in no output but the answer that makes them (webhooks.md §16.5, SG21)."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from opentill.db import Database, ReadTx, Tx
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret
from opentill.webhooks import service as webhooks
from opentill.webhooks.entrusted import AuthKind, Entrusted
from opentill.webhooks.model import BOUNDS, Dialect, Options
from opentill.webhooks.signing import standard_key
from tests.chaos.clients import Client, Order
from tests.chaos.servers import Install, Shop, installed, start
from tests.fakes.receiver import Receiver
from tests.usecases.admin.house import open_house
from tests.usecases.admin.test_screens import READS

pytestmark = [pytest.mark.anyio, pytest.mark.bar("S2")]

SECRETS: Final = {
    Dialect.MERCHANT: "whsec_" + b64encode(b"known merchant secret, 32 bytes!").decode(),
    Dialect.PIX: "known-pix-secret-of-32-letters-0",
    Dialect.STANDARD: "whsec_" + b64encode(b"known standard secret, 32 bytes!").decode(),
}
CREDENTIAL: Final = "known-bearer-token-of-the-owner"
METRICS_TOKEN: Final = "known-token-for-metrics"
ARRIVES_S_MAX: Final = 60.0


def forms(secret: str) -> Iterator[bytes]:
    """Yield what a secret looks like wherever somebody wrote it down: raw, hex and base64, at every offset."""
    for key in {secret.encode(), standard_key(Secret(secret))}:
        yield key
        yield key.hex().encode()
        yield key.hex().upper().encode()
        for offset in range(3):
            written = b64encode(bytes(offset) + key)
            whole = written[4 if offset else 0 : len(written) // 4 * 4 - 4]  # without what the neighbours change
            yield whole
            yield whole.replace(b"+", b"-").replace(b"/", b"_")


def leaks(output: bytes) -> list[str]:
    """Return which secrets an output holds in any form."""
    known = [*SECRETS.values(), CREDENTIAL, METRICS_TOKEN]
    return [secret for secret in known if any(form in output for form in forms(secret))]


def everything(tx: ReadTx) -> bytes:
    """Return all rows of all tables as text, bytes as they are."""
    names = (
        "select tablename as name from pg_tables where schemaname = 'public'"
        if tx.dialect == "postgres"
        else "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'"
    )
    found = []
    for table in tx.all(names):
        for row in tx.all(f"select * from {table['name']}"):
            values = (bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in dict(row).values())
            found.append(b"\0".join(values))
    return b"\n".join(found)


def register(tx: Tx, owner: Owner, url: str, keyring: Any) -> None:
    """Register an endpoint of each dialect with a known secret and a credential of its owner."""
    for dialect, secret in SECRETS.items():
        webhooks.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=owner,
            dialect=dialect,
            url=f"{url}/{dialect.name.lower()}",
            options=Options(allow_insecure=True, schedule=(1,)),
            ids=SystemIds(),
            keyring=keyring,
            now=SystemClock().now(),
            secret=secret,
            entrusted=Entrusted(kind=AuthKind.BEARER, fields={"token": CREDENTIAL}),
        )


def test_the_search_finds_each_form_of_a_secret() -> None:
    for secret in (*SECRETS.values(), CREDENTIAL):
        for shown in (secret, f"x{secret.encode().hex()}", b64encode(b"ab" + secret.encode() + b"cd").decode()):
            assert leaks(f'{{"a":"{shown}"}}'.encode()) == [secret]
        assert leaks(standard_key(Secret(secret)).hex().encode()) == [secret]
    assert leaks(b"nothing of the kind") == []


@pytest.mark.checklist("SG21")
@pytest.mark.parametrize("mode", ["sqlite", "postgres"])
async def test_no_log_row_answer_or_metric_of_a_running_gateway_holds_a_secret(mode: str, tmp_path: Path) -> None:
    with installed(tmp_path / "till", mode) as till:
        till.chosen |= {"OPENTILL_METRICS_TOKEN": METRICS_TOKEN}
        shop, web = till.add_shop(), till.web()
        workers = [] if till.embedded else [till.worker()]
        async with till.open_database() as database, Client(shop, [web]) as client, Receiver() as receiver:
            receiver.script("*", "status:500", "status:500", "status:500", "ok")
            await start(web, *workers)
            await database.write(lambda tx: register(tx, owner_in(tx), receiver.url(""), till.keyring))
            asked = {"amount": 10001, "external_id": "o-1"}
            assert (await client.insist(Order("/api/external/pix/cash-in", asked, "k"))).status == 200
            await receiver.wait_for(2 * len(SECRETS), within_s=ARRIVES_S_MAX)
            assert any(CREDENTIAL in str(request.headers) for request in receiver.requests)
            answers = await everything_asked(till, shop, web.url)
            await asyncio.sleep(1.0)
            rows = await database.read(everything)
        till.stop()
        printed = [path.read_bytes() for path in sorted(till.data.glob("*.log")) + sorted(till.data.glob("*.output"))]
        files = [path.read_bytes() for path in sorted(till.data.glob("*.db*"))]
    assert len(rows) > 1_000
    assert sum(map(len, printed)) > 500
    for output in (rows, *answers, *printed, *files):
        assert leaks(output) == []


def owner_in(tx: ReadTx) -> Owner:
    return Owner(tx.all("select id from merchant")[0]["id"], Mode.SANDBOX)


async def everything_asked(till: Install, shop: Shop, url: str) -> list[bytes]:
    """Ask the API for all it says of webhooks, and for errors about them; return the answers."""
    known = {"Authorization": f"Bearer {shop.merchant_api_key}", "Content-Type": "application/json"}
    secret = SECRETS[Dialect.MERCHANT]
    asked: list[tuple[str, str, dict[str, str], bytes]] = [
        ("GET", "/api/v1/webhooks", known, b""),
        ("GET", "/api/v1/webhooks/deliveries", known, b""),
        ("GET", "/api/v1/events", known, b""),
        ("POST", "/api/v1/webhooks", known, json.dumps({"url": "ftp://x", "secret": secret}).encode()),
        ("POST", "/api/v1/webhooks", known, json.dumps({"url": [secret], "events": secret}).encode()),
        ("POST", "/api/v1/webhooks", known, f'{{"secret": "{secret}"'.encode()),
        ("PATCH", "/api/v1/webhooks/1", known, json.dumps({"secret": f" {secret}\n"}).encode()),
        ("POST", "/api/v1/webhooks/tests", known, b"{}"),
        ("GET", "/metrics", {"Authorization": f"Bearer {METRICS_TOKEN}"}, b""),
        ("GET", f"/portal/{secret.replace('/', '_')[:20]}", {}, b""),
        ("GET", "/health/ready", {}, b""),
    ]
    found = []
    async with aiohttp.ClientSession() as session:
        for method, path, headers, body in asked:
            async with session.request(method, url + path, headers=headers, data=body or None) as answer:
                assert answer.status != 500, path
                found.append(str(dict(answer.headers)).encode() + await answer.read())
    found.append(till.run("verify", "--json", fails=True).encode())
    return found


@pytest.mark.checklist("SG21")
async def test_no_page_of_the_panel_holds_a_secret(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    scene, owner = house.shop.scene, house.shop.merchant.owner
    await database.write(lambda tx: register(tx, owner, "http://shop.example", scene.keyring))
    endpoints = await database.read(lambda tx: tx.all("select public_id from webhook_endpoint"))
    browser = await house.browser()
    seen = 0
    for endpoint in endpoints:
        house.names["endpoint"] = endpoint["public_id"]
        for screen in READS:
            if endpoint is endpoints[0] or "{endpoint}" in screen.path:
                answer = await browser.client.get(house.place(screen), follow_redirects=True)
                seen += answer.status_code == 200
                assert leaks(answer.content) == [], screen.path
    assert seen > len(READS) // 2
