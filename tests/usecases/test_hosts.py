"""Hosts of merchants' own: proven, reachable, served; the key decides whose call it is (merchant-api.md §17.5)."""

import json
import re
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import DAY
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.main import Till, assembled
from opentill.merchants import domains
from opentill.merchants.domains import Domain, Seen
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from opentill.web.hosts import is_local
from opentill.workers.domains import check, check_due
from tests.contract.api.client import Response, ask
from tests.contract.api.house import PAYMENT, House, open_house
from tests.make import Scene

pytestmark = pytest.mark.anyio

MAIN, OWN = "pay.example.com", "pay.loja-azul.example"


@dataclass
class Installation:
    """A whole installation, asked at any of its hosts."""

    till: Till
    key: str
    merchant_id: int
    dependencies: Dependencies

    async def asks(self, host: str, target: str, method: str = "GET", fields: object = None, **more: str) -> Response:
        headers = {"host": host, "authorization": f"Bearer {self.key}", **more}
        body = b"" if fields is None else json.dumps(fields).encode()
        return await ask(self.till, method, target, headers=headers, body=body)


@asynccontextmanager
async def opened(database_url: str, folder: Path, public_url: str = f"https://{MAIN}") -> AsyncIterator[Installation]:
    """Start everything but the loops on a migrated database, with one merchant."""
    settings = Settings(data=folder, database_url=database_url, public_url=public_url).completed()
    async with assembled(settings) as assembly:
        deps, scene = assembly.dependencies, Scene()

        def make(tx: Tx) -> tuple[str, int]:
            merchant = scene.merchant(tx)
            return scene.api_key(tx, merchant).reveal(), merchant.id

        key, merchant_id = await deps.db.write(make)
        till = Till(settings, workers=False)
        till._mount(deps)
        yield Installation(till, key, merchant_id, deps)
        for api in till._apis:
            await api.settled()


async def serves(at: Installation, host: str = OWN, *, primary: bool = False) -> Domain:
    """Name a host, and let its records be found."""
    deps = at.dependencies

    def made(tx: Tx) -> Domain:
        now = deps.clock.now()
        added = domains.add(tx, host, merchant_id=at.merchant_id, main_host=MAIN, ids=deps.ids, now=now)
        seen = Seen([added.token], reaches_us=True)
        found = domains.judge(tx, host, seen, merchant_id=at.merchant_id, now=now)
        return domains.make_primary(tx, host, merchant_id=at.merchant_id) if primary else found

    return await deps.db.write(made)


@pytest.mark.checklist("M62")
async def test_the_api_is_the_same_on_the_main_host_and_on_a_merchants(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as at:
        await serves(at)
        answers = []
        for host in (MAIN, OWN, OWN.upper() + ":8443"):
            made = await at.asks(host, "/api/v1/payments", "POST", PAYMENT)
            read = await at.asks(host, f"/api/v1/payments/{made.json()['data']['payment_id']}")
            missing = await at.asks(host, "/api/v1/nowhere")
            stranger = await at.asks(host, "/api/v1/payments", authorization="Bearer op_00000000." + "0" * 48)
            answers.append([made.status, read.status, missing.json()["code"], stranger.json()["code"]])
            page = await at.asks(host, made.json()["data"]["checkout_url"].removeprefix(f"https://{MAIN}"))
            assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            style = re.search(rb'href="(/assets/[^"]+[.]css)"', page.body)
            assert style is not None
            assert (await at.asks(host, style[1].decode())).status == 200

    assert answers == [[201, 200, "NOT_FOUND", "INVALID_TOKEN"]] * 3


@pytest.mark.checklist("M62")
async def test_an_unknown_host_finds_nothing_json_under_api_and_a_page_elsewhere(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path) as at:
        await serves(at)
        for host in ("evil.example", f"x.{OWN}"):
            for target in ("/api/v1/payments", "/api/external/balance", "/api"):
                answer = await at.asks(host, target)
                assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
                assert answer.json()["code"] == "NOT_FOUND"
            page = await at.asks(host, "/checkout/x")
            assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert page.headers["x-content-type-options"] == "nosniff"
        assert (await at.asks("evil.example", "/health")).status == 200


async def test_a_merchants_host_serves_nothing_of_the_installation(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as at:
        await serves(at)
        statuses = {
            path: (await at.asks(OWN, path)).status
            for path in ("/admin", "/setup", "/metrics", "/portal/x", "/api/external/balance", "/hooks/pix/1/x", "/")
        }

    assert statuses == dict.fromkeys(statuses, 404)


async def test_a_host_that_is_only_named_or_proven_serves_nothing(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as at:
        deps, owner = at.dependencies, at.merchant_id
        await deps.db.write(
            lambda tx: domains.add(tx, OWN, merchant_id=owner, main_host=MAIN, ids=deps.ids, now=deps.clock.now())
        )
        named = await at.asks(OWN, "/api/v1/health")

    assert named.status == 404


@pytest.mark.parametrize("public_url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
async def test_without_a_public_name_every_host_is_served(database_url: str, tmp_path: Path, public_url: str) -> None:
    async with opened(database_url, tmp_path, public_url) as at:
        assert (await at.asks("anything.example", "/api/v1/health")).status == 200


async def test_links_carry_the_primary_host_and_never_the_callers(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    before = await made(house)
    await let_serve(house, primary=True)
    house.next_second()
    after = await made(house)
    link = await house.merchant("POST", "/payment-links", {"title": "Tea", "currency": "BRL", "amount": "1.00"})
    others = await house.merchant("POST", "/payments", PAYMENT, key=house.other.key)
    await database.write(lambda tx: domains.remove(tx, OWN, merchant_id=house.shop.merchant.id))
    house.next_second()
    back = await made(house)

    assert before["checkout_url"].startswith(f"https://{MAIN}/checkout/")
    assert after["checkout_url"].startswith(f"https://{OWN}/checkout/")
    assert link.json()["data"]["url"].startswith(f"https://{OWN}/pay/")
    assert others.json()["data"]["checkout_url"].startswith(f"https://{MAIN}/checkout/")
    assert back["checkout_url"].startswith(f"https://{MAIN}/checkout/")
    await house.close()


async def test_records_make_a_host_serve_step_by_step_and_never_switch_it_off(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    deps, owner, now = house.dependencies, house.shop.merchant.id, house.clock.now()
    named = await database.write(
        lambda tx: domains.add(tx, OWN, merchant_id=owner, main_host=MAIN, ids=deps.ids, now=now)
    )
    told: list[Seen] = [
        Seen([], reaches_us=True),
        Seen(["something else", named.token], reaches_us=False),
        Seen([named.token], reaches_us=True),
        Seen([], reaches_us=False),
        Seen([named.token], reaches_us=True),
    ]

    async def look(_domain: Domain) -> Seen:
        return told.pop(0)

    with pytest.raises(Conflict):
        await database.write(lambda tx: domains.make_primary(tx, OWN, merchant_id=owner))
    steps = [await check(deps, named, look) for _ in range(5)]

    assert named.proof == (f"_opentill-verification.{OWN}", named.token)
    assert [step.state for step in steps] == ["pending", "verified", "active", "active", "active"]
    assert [step.failing_since is not None for step in steps] == [False, False, False, True, False]
    await house.close()


async def test_hosts_are_looked_at_hourly(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    await let_serve(house)
    looked: list[str] = []

    async def look(domain: Domain) -> Seen:
        looked.append(domain.host)
        return Seen([domain.token], reaches_us=True)

    await check_due(house.dependencies, look)
    house.clock.advance(DAY)
    more = [await check_due(house.dependencies, look) for _ in range(2)]

    assert looked == [OWN]
    assert more == [False, False]
    await house.close()


async def test_a_host_belongs_to_one_merchant(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    await let_serve(house)
    deps, other, now = house.dependencies, house.other.merchant.id, house.clock.now()

    def add(host: str) -> Any:
        return database.write(
            lambda tx: domains.add(tx, host, merchant_id=other, main_host=MAIN, ids=deps.ids, now=now)
        )

    for taken in (OWN, MAIN, f" {OWN.upper()}. "):
        with pytest.raises(Conflict):
            await add(taken)
    for wrong in ("", "localhost", "127.0.0.1", "a b.example", "-a.example", "a..example", "*.example", "x" * 260):
        with pytest.raises(Invalid):
            await add(wrong)
    with pytest.raises(NotFound):
        await database.read(lambda tx: domains.one(tx, OWN, merchant_id=other))
    await house.close()


def test_addresses_are_nobodys_name() -> None:
    assert [is_local(host) for host in ("127.0.0.1", "::1", "localhost", "a.localhost", "", "pay.example")] == [
        *[True] * 5,
        False,
    ]


async def made(house: House) -> MutableMapping[str, Any]:
    data: dict[str, Any] = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]
    return data


async def let_serve(house: House, *, primary: bool = False) -> None:
    deps, owner = house.dependencies, house.shop.merchant.id

    def make(tx: Tx) -> None:
        now = house.clock.now()
        added = domains.add(tx, OWN, merchant_id=owner, main_host=MAIN, ids=deps.ids, now=now)
        domains.judge(tx, OWN, Seen([added.token], reaches_us=True), merchant_id=owner, now=now)
        if primary:
            domains.make_primary(tx, OWN, merchant_id=owner)

    await house.db.write(make)
