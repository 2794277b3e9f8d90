"""The panel's one door: who may reach which screen, in which role, of which merchant, and with whose forms."""

from pathlib import Path

import pytest

from opentill.admin import screens
from opentill.admin.panel import ANY, Screen
from opentill.db import Database
from opentill.kernel.mode import Mode
from opentill.operators.permissions import ALL, ROLES
from opentill.payments.model import Contact
from tests.security.test_headers import ALWAYS, HOSTILE, Reader
from tests.usecases.admin.house import READS, WRITES, open_house, pays

# Screens whose object is made later in a run, or needs more than a name: not found where they are allowed.
BARE = {"/m/{merchant}/invoices/{invoice}", "/m/{merchant}/disputes/{dispute}"}


def shown(screen: Screen) -> str:
    return f"{screen.method} {screen.path or '/'}"


def test_every_screen_names_a_permission_that_exists() -> None:
    assert [shown(screen) for screen in screens.ALL if screen.permission != ANY and screen.permission not in ALL] == []
    reading = [screen for screen in WRITES if screen.permission.endswith(".view")]
    assert [screen.path for screen in reading] == ["/m/{merchant}/developers/bench"], "it changes nothing"


@pytest.mark.bar("S5", part="panel: no session")
async def test_nobody_gets_in_without_a_session(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    stranger = house.shop.browser()
    for screen in screens.ALL:
        answer = await stranger.client.request(
            screen.method, house.place(screen), data={} if screen in WRITES else None
        )
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/admin/sign-in"), shown(
            screen
        )


@pytest.mark.bar("S5", part="panel: role by screen")
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reaches_its_screens_and_no_others(database: Database, tmp_path: Path, role: str) -> None:
    house = await open_house(database, tmp_path)
    await house.joins("bia@loja.example", role)
    browser = await house.browser("bia@loja.example")
    for screen in READS:
        answer = await browser.client.get(house.place(screen))
        allowed = screen.permission == ANY or screen.permission in ROLES[role]
        expected = ({404} if screen.path in BARE else {200, 303}) if allowed else {403}
        assert answer.status_code in expected, f"{role}: {shown(screen)} says {answer.status_code}"
    for screen in WRITES:
        answer = await browser.client.post(house.place(screen), data={"form_key": "x", "form_digest": "y"})
        allowed = screen.permission == ANY or screen.permission in ROLES[role]
        assert answer.status_code == (409 if allowed else 403), f"{role}: {shown(screen)} says {answer.status_code}"


@pytest.mark.bar("S5", part="panel: merchant by screen")
async def test_a_role_at_one_merchant_is_none_at_another_nor_in_the_installation(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    other = await house.shop.db.write(lambda tx: house.shop.scene.merchant(tx, "Loja Vermelha", mode=Mode.LIVE))
    await house.joins("bia@loja.example", "owner", other)
    browser = await house.browser("bia@loja.example")
    for screen in screens.ALL:
        if screen.permission == ANY and not screen.of_merchant:
            continue
        data = {"form_key": "x", "form_digest": "y"} if screen in WRITES else None
        answer = await browser.client.request(screen.method, house.place(screen), data=data)
        assert answer.status_code == (404 if screen.of_merchant else 403), shown(screen)
        assert "Padaria" not in answer.text

    # At their own merchant, what belongs to another is not found.
    house.names["merchant"] = other.slug
    named = [screen for screen in READS if screen.of_merchant and screen.path.count("{") > 1]
    assert len(named) >= 7
    for screen in named:
        answer = await browser.client.get(house.place(screen))
        assert answer.status_code == 404, shown(screen)


def test_areas_of_the_installation_count_nowhere_else() -> None:
    inside = {screen.permission.partition(".")[0] for screen in screens.ALL if screen.of_merchant}
    assert not inside & {"currencies", "operators", "settings", "system"}


@pytest.mark.bar("S9", part="panel: forms")
async def test_a_form_is_good_in_its_own_session_for_its_own_action_and_once(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/fees")
    [form] = [form for form in browser.forms if form.action == f"{house.home}/fees" and form.fields.get("form_key")]
    fields = form.fields | {"percent": "1.99", "currency": ""}

    async def rules() -> int:
        return len(await database.read(lambda tx: tx.all("select id from fee_rule")))

    stranger = await house.browser()
    assert (await stranger.client.post(form.action, data=fields)).status_code == 409
    elsewhere = await house.browser(**{"sec-fetch-site": "cross-site"})
    assert (await elsewhere.client.post(form.action, data=fields)).status_code == 409
    assert (await browser.client.post(f"{house.home}/gateways/sandbox/off", data=fields)).status_code == 409
    assert (await browser.client.post(form.action, data=fields | {"form_digest": "0" * 64})).status_code == 409
    assert await rules() == 0
    assert (await browser.client.post(form.action, data=fields)).status_code == 303
    assert (await browser.client.post(form.action, data=fields)).status_code == 409
    assert await rules() == 1


@pytest.mark.bar("S7", part="sensitive actions ask again")
async def test_sensitive_screens_ask_for_password_again_after_ten_minutes(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    house.shop.clock.advance(11 * 60 * 1_000_000)
    sensitive = [screen for screen in READS if screen.fresh]
    assert len(sensitive) >= 5
    for screen in sensitive:
        answer = await browser.client.get(house.place(screen))
        assert answer.headers["location"].startswith("/admin/account/confirm?next="), shown(screen)
    await browser.opens(house.place(sensitive[0]))
    await browser.presses("Go on", password="wrong")
    assert browser.page.status_code == 422
    await browser.presses("Go on", password="quatro cavalos pastam")
    assert browser.page.url.path == house.place(sensitive[0])


@pytest.mark.bar("S9", part="panel: no open redirect, no session fixation")
@pytest.mark.parametrize("place", ["https://evil.example", "//evil.example", "/\\evil.example", "/checkout/x", "admin"])
async def test_signing_in_leads_nowhere_else_and_takes_a_new_session(
    database: Database, tmp_path: Path, place: str
) -> None:
    house = await open_house(database, tmp_path)
    browser = house.shop.browser()
    browser.client.cookies.set("opentill_session", "f" * 64, path="/admin")
    await browser.opens(f"/admin/sign-in?next={place}")
    answer = await browser.presses("Sign in", email="ana@loja.example", password="quatro cavalos pastam", follow=False)
    assert answer.headers["location"] == "/admin"
    [cookie] = answer.headers.get_list("set-cookie")
    assert "f" * 64 not in cookie
    assert all(flag in cookie for flag in ("HttpOnly", "Secure", "SameSite=lax", "Path=/admin"))


async def test_nobody_gives_away_more_than_they_have(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    await house.joins("bia@loja.example", "admin")
    browser = await house.browser("bia@loja.example")
    await browser.opens("/admin/operators/new")
    await browser.presses("Invite", name="Eva", email="eva@loja.example", role="owner")
    assert browser.page.status_code == 403
    await browser.opens("/admin/operators/1")
    await browser.presses("New password link")
    assert browser.page.status_code == 403, "an owner's password is not an admin's to reset"
    await browser.opens("/admin/operators/new")
    await browser.presses("Invite", name="Eva", email="eva@loja.example", role="finance")
    assert "/admin/password/" in browser.page.text


async def test_signing_out_ends_the_session(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    token = browser.client.cookies["opentill_session"]
    await browser.opens(house.home)
    await browser.presses("Sign out")
    assert browser.heading == "Sign in"
    browser.client.cookies.set("opentill_session", token, path="/admin")
    assert (await browser.client.get(house.home)).status_code == 303


@pytest.mark.bar("S9", part="panel: every screen")
async def test_every_screen_is_safe_from_scripts_frames_and_foreign_forms(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    await pays(house.shop, order_id=HOSTILE, description=HOSTILE, contact=Contact(HOSTILE, "x@example.com"))
    await database.write(lambda tx: tx.run("update merchant set name = :name", name=HOSTILE))
    await database.write(lambda tx: tx.run("update api_key set name = :name", name=HOSTILE))
    await database.write(lambda tx: tx.run("update operator set name = :name", name=HOSTILE))
    await database.write(lambda tx: tx.run("update review_item set reason = :name", name=HOSTILE))
    browser = await house.browser()
    for screen in READS:
        answer = await browser.client.get(house.place(screen), follow_redirects=True)
        assert answer.headers["cache-control"] == "no-store", shown(screen)
        if answer.headers["content-type"].startswith("text/csv"):
            assert "attachment" in answer.headers["content-disposition"]
            continue
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
        reader = Reader()
        reader.feed(answer.text)
        assert reader.wrong == [], shown(screen)
        assert all({"form_key", "form_digest"} <= names for names in reader.forms), shown(screen)
        assert HOSTILE not in answer.text
