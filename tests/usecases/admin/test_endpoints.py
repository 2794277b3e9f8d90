"""Endpoints in the panel: what the operator's settings allow, and the operator's own endpoints."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY, Instant, to_datetime
from opentill.webhooks.model import Dialect, Kind
from tests.usecases.admin.house import House, open_house
from tests.usecases.checkout.shop import Browser

pytestmark = pytest.mark.anyio


async def adds(house: House, browser: Browser, button: str = "Add the endpoint", **fields: str) -> None:
    await browser.opens(f"{house.home}/developers/endpoints/new")
    await browser.presses(button, **{"url": "https://other.example/", **fields})


async def endpoints(database: Database, **of: int) -> list[dict[str, Any]]:
    """Return endpoints of a kind or dialect, with the events each names."""
    found = await database.read(lambda tx: tx.all("select * from webhook_endpoint order by id"))
    return [
        {**row, "events": json.loads(row["options"]).get("events")}
        for row in found
        if all(row[name] == value for name, value in of.items())
    ]


async def test_as_many_endpoints_are_added_as_the_operator_allows(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, webhooks_endpoints_max=2)
    browser = await house.browser()
    for path in ("1", "2"):
        await adds(house, browser, url=f"https://other.example/{path}")
    assert browser.page.status_code == 409
    assert "Webhook limit reached (2)" in browser.text
    reader = await house.browser(**{"accept-language": "pt-BR"})
    await adds(house, reader, "Adicionar o endpoint")
    assert "Limite de webhooks atingido (2)" in reader.text
    assert len(await endpoints(database)) == 2


async def test_ticks_of_a_refused_form_stay_as_they_were_sent(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    at = f"{house.home}/developers/endpoints/{house.names['endpoint']}/settings"
    await browser.opens(at)
    await browser.presses("Save", url="https://shop.example/hooks", event="payment.failed")
    await browser.opens(at)
    await browser.presses("Save", url="no address", event="payment.expired")

    assert browser.page.status_code == 422
    assert re.findall(r'value="([\w.]+)" checked', browser.page.text) == ["payment.expired"]
    [stored] = [one["events"] for one in await endpoints(database)]
    assert stored == ["payment.failed"]


async def test_an_event_that_the_dialect_does_not_have_is_refused(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await adds(house, browser, dialect="pix", event="payment.completed")
    assert browser.page.status_code == 422
    assert "contains invalid events: payment.completed" in browser.text
    assert 'value="payment.completed" checked' in browser.page.text
    assert await endpoints(database, dialect=Dialect.PIX) == []


@pytest.mark.parametrize("opened", [False, True])
async def test_the_extra_events_of_pix_are_offered_where_the_operator_opened_them(
    database: Database, tmp_path: Path, opened: bool
) -> None:
    house = await open_house(database, tmp_path, pix_webhooks_extra_events=opened)
    browser = await house.browser()
    await adds(house, browser, dialect="pix")
    [made] = await endpoints(database, dialect=Dialect.PIX)
    await browser.opens(f"{house.home}/developers/endpoints/{made['public_id']}/settings")
    assert ("pix.refund.failed" in browser.page.text) is opened
    await browser.presses("Save", event="pix.refund.failed")
    [made] = await endpoints(database, dialect=Dialect.PIX)
    assert made["events"] == (["pix.refund.failed"] if opened else None)


async def test_an_operational_endpoint_is_added_and_listed(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await adds(house, browser, dialect="operational", event="delivery.dead")
    [made] = await endpoints(database, kind=Kind.OPERATIONAL)
    assert (made["dialect"], made["events"]) == (Dialect.STANDARD, ["delivery.dead"])
    await browser.opens(f"{house.home}/developers/endpoints")
    assert "operational" in browser.text
    await browser.opens(f"{house.home}/developers/endpoints/{made['public_id']}")
    assert "about endpoints and deliveries themselves" in browser.text
    await browser.presses("Pause")
    [made] = await endpoints(database, kind=Kind.OPERATIONAL)
    assert made["state"] == 1


async def test_what_was_missed_is_sent_again_at_the_pace_of_the_settings(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path, webhooks_replay_rate=7)
    browser = await house.browser()
    await browser.opens(f"{house.home}/developers/endpoints/{house.names['endpoint']}")
    assert "They go out at 7 a second" in browser.text
    await browser.presses("Send again", wish="missing")
    [job] = await database.read(lambda tx: tx.all("select rate_per_s from webhook_replay"))
    assert job["rate_per_s"] == 7


async def test_an_endpoint_that_fails_is_disabled_on_the_day_of_the_settings(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path, webhooks_disable_after_days=9)
    now = house.shop.clock.now()
    await database.write(lambda tx: tx.run("update webhook_lane set failing_since = :now", now=now))
    browser = await house.browser()
    await browser.opens(f"{house.home}/developers/endpoints/{house.names['endpoint']}")
    assert f"{to_datetime(Instant(now + 9 * DAY)):%Y-%m-%dT%H:%M}" in browser.page.text
