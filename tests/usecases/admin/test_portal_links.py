"""Links to the consumer portal in the panel: who may give them out, and for what."""

import re
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY, MINUTE
from opentill.operators import audit
from opentill.portal.handlers import create_portal_app
from opentill.webhooks.portal_access import LinkOver, revoke_link
from tests.usecases.admin.house import House, open_house
from tests.usecases.checkout.shop import Browser

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    return await open_house(database, tmp_path)


async def asks(house: House, browser: Browser) -> None:
    await browser.opens(f"{house.home}/developers/endpoints/{house.names['endpoint']}")
    [offer] = browser.links("Give out a link")
    await browser.opens(offer)


async def links(house: House) -> list[dict[str, Any]]:
    rows = await house.shop.db.read(lambda tx: tx.all("select * from portal_link order by created_at"))
    return [dict(row) for row in rows]


async def test_a_link_is_shown_once_opens_the_portal_and_is_ended(house: House) -> None:
    browser = await house.browser()
    await asks(house, browser)
    await browser.presses("Make the link", days="3", right="test")
    [address] = re.findall(r"https://pay\.example\.com(/portal/[\w.-]+)", browser.page.text)
    [link] = await links(house)
    assert link["expires_at"] == house.shop.clock.now() + 3 * DAY
    assert link["rights"] == '["read", "test"]'
    house.shop.app.mount("/portal", create_portal_app(house.shop.deps))
    house.shop.app.routes.insert(0, house.shop.app.routes.pop())  # before the panel, which takes what is left

    guest = house.shop.browser()
    assert (await guest.client.get(address)).headers["location"] == "/portal/"
    await browser.opens(f"{house.home}/developers/portal-links")
    assert address not in browser.page.text
    for told in ("https://shop.example/hooks", "send a test", "Ana", "1 ×", "active"):
        assert told in browser.text
    await browser.presses("End it")

    assert "The link has ended" in browser.text
    assert "revoked" in browser.text
    assert (await guest.client.get("/portal/")).status_code == 404
    assert (await guest.client.get(address)).status_code == 404
    entries = await house.shop.db.read(
        lambda tx: tx.all("select * from audit_entry where action like 'portal_link.%' order by seq")
    )
    assert [(one["action"], one["actor"], one["merchant_id"]) for one in entries] == [
        ("portal_link.create", "operator:1", house.shop.merchant.owner.merchant_id),
        ("portal_link.revoke", "operator:1", house.shop.merchant.owner.merchant_id),
    ]
    assert address.rpartition("/")[2] not in "".join(str(dict(one)) for one in entries)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("days", "31", "Say how long the link lives: at most 30 days."),
        ("days", "", "Say how long the link lives: at most 30 days."),
        ("endpoint", "wh_x", "Webhook endpoint not found."),
    ],
)
async def test_what_cannot_be_given_out_is_said_beside_what_was_ticked(
    house: House, field: str, value: str, fault: str
) -> None:
    browser = await house.browser()
    await asks(house, browser)
    await browser.presses("Make the link", right="edit", **{"days": "1", field: value})
    assert browser.page.status_code == 422
    assert fault in browser.text
    assert 'value="edit" checked' in browser.page.text
    assert 'value="resend" checked' not in browser.page.text
    assert await links(house) == []


async def test_who_may_not_see_secrets_cannot_let_somebody_else_make_new_ones(house: House) -> None:
    await house.joins("dev@loja.example", "developer")
    browser = await house.browser("dev@loja.example")
    await asks(house, browser)
    assert "make a new secret" not in browser.text
    await browser.presses("Make the link", right="rotate")
    assert browser.page.status_code == 403
    assert "Who may not see secrets cannot let somebody else make new ones." in browser.text
    assert await links(house) == []


async def test_links_are_given_out_by_who_manages_and_gave_the_password_lately(house: House) -> None:
    await house.joins("eva@loja.example", "read-only")
    reader = await house.browser("eva@loja.example")
    await reader.opens(f"{house.home}/developers/portal-links")
    assert reader.links("Give out a link") == []
    assert (await reader.client.get(f"{house.home}/developers/portal-links/new")).status_code == 403

    owner = await house.browser()
    house.shop.clock.advance(11 * MINUTE)
    await owner.opens(f"{house.home}/developers/portal-links/new")
    assert "/account/confirm" in str(owner.page.url)


async def test_a_link_of_another_merchant_is_not_found(house: House) -> None:
    other = await house.shop.db.write(lambda tx: house.shop.scene.merchant(tx, "Outra Loja"))
    browser = await house.browser()
    await asks(house, browser)
    await browser.presses("Make the link")
    [link] = await links(house)
    await browser.opens(f"/admin/m/{other.slug}/developers/portal-links")
    assert link["jti"] not in browser.page.text
    await browser.opens(f"{house.home}/developers/portal-links")
    assert link["jti"] in browser.page.text
    by = audit.at_console("", "")
    with pytest.raises(LinkOver):
        await house.shop.db.write(
            lambda tx: revoke_link(tx, owner=other.owner, jti=link["jti"], now=house.shop.clock.now(), by=by)
        )
