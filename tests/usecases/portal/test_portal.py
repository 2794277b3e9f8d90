"""The consumer portal: who gets in, what they see and may do, and that nobody sees another's (webhooks.md §12)."""

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY, HOUR, MINUTE
from opentill.operators import audit
from opentill.portal.documents import create_documents_app
from opentill.portal.handlers import create_portal_app
from opentill.webhooks import portal_access
from opentill.webhooks.model import BOUNDS, Dialect, Endpoint
from opentill.webhooks.portal_access import RIGHTS
from tests.usecases.webhooks.engine import Bench, says
from tests.usecases.webhooks.test_retain_loop import dependencies

pytestmark = pytest.mark.anyio
BY = audit.at_console("", "")


@dataclass
class Portal:
    """A portal on a bench, and a browser without scripts."""

    bench: Bench
    app: Any
    endpoint: Endpoint

    def browser(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://pay.example")

    async def link(self, *rights: str, endpoints: tuple[str, ...] = (), life: int = DAY) -> str:
        engine = self.bench.engine
        token = await self.bench.db.write(
            lambda tx: portal_access.make_link(
                tx,
                bounds=BOUNDS,
                owner=self.bench.owner,
                endpoints=endpoints or (self.endpoint.public_id,),
                rights=rights or RIGHTS,
                ids=engine.ids,
                keyring=engine.keyring,
                now=engine.clock.now(),
                by=BY,
                life=life,
            )
        )
        return token.reveal()

    async def enters(self, *rights: str) -> httpx.AsyncClient:
        browser = self.browser()
        answer = await browser.get(f"/portal/{await self.link(*rights)}")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/portal/"
        return browser


def mounted(app: Any) -> Any:
    """Mount as main does: the prefix is the root path."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].startswith("/portal")
        await app({**scope, "root_path": "/portal"}, receive, send)

    return call


@pytest.fixture
async def portal(database: Database, database_url: str, tmp_path: Path) -> Any:
    bench = await Bench(database).start()
    given = dependencies(bench, database_url, tmp_path)
    endpoint, _ = await bench.endpoint()
    yield Portal(bench, mounted(create_portal_app(given)), endpoint)
    await given.outbound.close()


def fields_of(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form that posts to *action*."""
    form = next(f for f in re.findall(r"<form.*?</form>", page, re.S) if f'action="{action}"' in f)
    inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in inputs}


async def presses(browser: httpx.AsyncClient, page: str, action: str, **fields: str) -> httpx.Response:
    shown = await browser.get(page)
    return await browser.post(action, data={**fields_of(shown.text, action), **fields})


async def test_a_link_opens_the_pages_and_leaves_no_trace_in_the_address(portal: Portal) -> None:
    browser = portal.browser()
    answer = await browser.get(f"/portal/{await portal.link()}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/portal" in cookie
    shown = await browser.get("/portal/")
    assert shown.status_code == 200
    assert "https://shop.example/hook" in shown.text
    assert "pl1." not in shown.text
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert shown.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert "unsafe" not in shown.headers["content-security-policy"]


async def test_a_link_that_is_over_revoked_or_forged_opens_nothing(portal: Portal) -> None:
    token, revoked = await portal.link(life=HOUR), await portal.link()
    [*_, row] = await portal.bench.rows("select jti from portal_link order by created_at, uses, jti")
    assert row
    for jti in {
        r["jti"]
        for r in await portal.bench.rows(
            "select jti from portal_link where expires_at > :t", t=portal.bench.clock.now() + 2 * HOUR
        )
    }:
        await portal.bench.db.write(
            lambda tx, jti=jti: portal_access.revoke_link(
                tx, owner=portal.bench.owner, jti=jti, now=portal.bench.clock.now(), by=BY
            )
        )
    assert (await portal.browser().get(f"/portal/{revoked}")).status_code == 404
    portal.bench.clock.advance(2 * HOUR)
    for text in (token, token[:-1], "pl1.x.y", "nothing"):
        answer = await portal.browser().get(f"/portal/{text}")
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers


async def test_without_a_session_there_is_nothing_to_see(portal: Portal) -> None:
    for path in (
        "/portal/",
        f"/portal/endpoints/{portal.endpoint.public_id}",
        "/portal/check",
        "/portal/events",
        "/portal/samples",
        "/portal/deliveries/dlv_000000000000000000000000",
    ):
        answer = await portal.browser().get(path)
        assert answer.status_code == 404
        assert "shop.example" not in answer.text


async def test_a_session_ends_after_two_idle_hours_with_its_link_and_by_leaving(portal: Portal) -> None:
    idle, left, over = [await portal.enters() for _ in range(3)]
    await left.post("/portal/leave", data={"x": "1"})
    assert (await left.get("/portal/")).status_code == 404
    for _ in range(4):
        portal.bench.clock.advance(HOUR)
        assert (await over.get("/portal/")).status_code == 200
    assert (await idle.get("/portal/")).status_code == 404
    for _ in range(21):
        portal.bench.clock.advance(HOUR)
        last = await over.get("/portal/")
    assert last.status_code == 404


async def test_sessions_that_are_over_are_forgotten(portal: Portal) -> None:
    await portal.enters()
    bench = portal.bench
    count = "select count(*) as n from portal_session"
    await bench.db.write(lambda tx: portal_access.forget_sessions(tx, now=bench.clock.now(), most=10))
    assert (await bench.rows(count))[0]["n"] == 1
    bench.clock.advance(2 * DAY)
    await bench.db.write(lambda tx: portal_access.forget_sessions(tx, now=bench.clock.now(), most=10))
    assert (await bench.rows(count))[0]["n"] == 0


async def test_nobody_sees_endpoints_or_deliveries_the_link_does_not_name(portal: Portal) -> None:
    bench = portal.bench
    other, _ = await bench.endpoint("https://other.example/hook", dialect=Dialect.PIX)
    stranger = await bench.new_merchant("Outra Loja")
    foreign, _ = await bench.endpoint("https://foreign.example/hook", owner=stranger.owner)
    await bench.happens(bench.event(pix="pix.charge.paid", **parts()), bench.event(owner=stranger.owner))
    await bench.plan()
    browser = await portal.enters()
    rows = await bench.rows("select d.public_id, d.endpoint_id from webhook_delivery d order by d.id")
    for row in rows:
        expected = 200 if row["endpoint_id"] == portal.endpoint.id else 404
        assert (await browser.get(f"/portal/deliveries/{row['public_id']}")).status_code == expected
    for endpoint in (other, foreign):
        assert (await browser.get(f"/portal/endpoints/{endpoint.public_id}")).status_code == 404
    page = await browser.get("/portal/")
    assert "other.example" not in page.text
    assert "foreign.example" not in page.text


async def test_a_link_names_only_endpoints_of_its_merchant_and_known_rights(portal: Portal) -> None:
    stranger = await portal.bench.new_merchant("Outra Loja")
    foreign, _ = await portal.bench.endpoint("https://foreign.example/hook", owner=stranger.owner)
    for kwargs in ({"endpoints": (foreign.public_id,)}, {"life": 31 * DAY}):
        with pytest.raises(Exception, match=r"not found|30 days"):
            await portal.link(**kwargs)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="rights"):
        await portal.link("everything")


async def test_a_link_that_only_reads_shows_no_button_and_does_nothing(portal: Portal) -> None:
    browser = await portal.enters("read")
    at = f"/portal/endpoints/{portal.endpoint.public_id}"
    page = (await browser.get(at)).text
    assert f'action="{at}/test"' not in page
    assert f'action="{at}/secret"' not in page
    for action in ("test", "secret", "settings", "activation"):
        assert (await browser.post(f"{at}/{action}", data={"x": "1"})).status_code == 403


async def test_a_secret_is_changed_once_and_shown_once(portal: Portal) -> None:
    browser = await portal.enters()
    at = f"/portal/endpoints/{portal.endpoint.public_id}"
    fields = fields_of((await browser.get(at)).text, f"{at}/secret")
    answer = await browser.post(f"{at}/secret", data={**fields, "overlap": "day"})
    assert answer.status_code == 200
    [secret] = set(re.findall(r"whsec_[A-Za-z0-9+/=]{44}", answer.text))
    assert answer.headers["cache-control"] == "no-store"
    again = await browser.post(f"{at}/secret", data={**fields, "overlap": "day"})
    assert again.status_code == 303
    assert secret not in (await browser.get(at)).text
    counted = await portal.bench.rows("select count(*) as n from webhook_secret")
    assert counted[0]["n"] == 2
    entries = await portal.bench.rows("select actor, action from audit_entry where action = 'webhook.rotate_secret'")
    assert [entry["actor"].startswith("portal:") for entry in entries] == [True]


async def test_a_test_is_sent_once_and_told_of_who_sent_it(portal: Portal) -> None:
    at = f"/portal/endpoints/{portal.endpoint.public_id}"
    await portal.bench.db.write(lambda tx: tx.run("update webhook_endpoint set url = 'https://10.0.0.1/'"))
    browser = await portal.enters()
    answer = await presses(browser, at, f"{at}/test")
    assert answer.headers["location"].endswith("note=tested")
    [entry] = await portal.bench.rows("select actor, subject from audit_entry where action = 'webhook.test'")
    assert entry["actor"].startswith("portal:")
    assert entry["subject"] == portal.endpoint.public_id


async def test_a_failed_delivery_is_looked_at_and_resent(portal: Portal) -> None:
    bench = portal.bench
    bench.receiver.answers["https://shop.example/hook"] = lambda _: says(500, body=b"<script>alert(1)</script>")
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()
    browser = await portal.enters()
    listed = await browser.get(f"/portal/endpoints/{portal.endpoint.public_id}?state=due")
    [path] = set(re.findall(r'href="(/portal/deliveries/dlv_[0-9a-f]{24})"', listed.text))
    page = (await browser.get(path)).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count('class="coming"') == 7
    assert "X-OwnPay-Signature" in page
    answer = await presses(browser, path, f"{path}/resend")
    assert answer.headers["location"].endswith("note=resent")
    bench.receiver.answers.clear()
    await bench.deliver()
    [row] = await bench.deliveries()
    assert (row["state"], row["attempts"]) == (2, 2)


async def test_an_endpoint_is_paused_and_activated_with_what_it_missed(portal: Portal) -> None:
    bench, at = portal.bench, f"/portal/endpoints/{portal.endpoint.public_id}"
    browser = await portal.enters()
    assert (await presses(browser, at, f"{at}/activation")).headers["location"].endswith("note=paused")
    await bench.happens(bench.event())
    await bench.plan()
    assert [row["state"] for row in await bench.deliveries()] == [4]
    answer = await presses(browser, at, f"{at}/activation", wish="all")
    assert answer.headers["location"].endswith("note=activated")


async def test_what_did_not_arrive_is_sent_again_by_a_job_that_can_be_stopped(portal: Portal) -> None:
    bench, at = portal.bench, f"/portal/endpoints/{portal.endpoint.public_id}"
    bench.receiver.answers["https://shop.example/hook"] = lambda _: says(410)
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()
    bench.receiver.answers.clear()
    await bench.db.write(lambda tx: tx.run("update webhook_endpoint set state = 0"))
    browser = await portal.enters()
    answer = await presses(browser, at, f"{at}/replays", wish="since_day")
    assert answer.headers["location"].endswith("note=again")
    [job] = await bench.rows("select * from webhook_replay")
    assert job["created_by"].startswith("portal:")
    foreign, _ = await bench.endpoint("https://other.example/hook")
    page = (await browser.get(at)).text
    [end] = re.findall(r'action="([^"]+/end)"', page)
    wrong = await browser.post(end.replace("rpl_", "rpl_0"), data=fields_of(page, end))
    assert wrong.headers["location"].endswith("note=refused")
    assert (await presses(browser, at, end)).headers["location"].endswith("note=stopped")
    [job] = await bench.rows("select state from webhook_replay")
    assert job["state"] == 2
    assert foreign.public_id not in page


async def test_settings_are_changed_and_wrong_ones_are_not(portal: Portal) -> None:
    at = f"/portal/endpoints/{portal.endpoint.public_id}"
    browser = await portal.enters()
    wrong = await presses(browser, at, f"{at}/settings", url="ftp://x", events="")
    assert wrong.headers["location"].endswith("note=wrong_url")
    unknown = await presses(browser, at, f"{at}/settings", url="https://shop.example/new", events="nothing.known")
    assert unknown.headers["location"].endswith("note=wrong_events")
    right = await presses(
        browser, at, f"{at}/settings", url="https://shop.example/new", events="payment.completed\npayment.failed"
    )
    assert right.headers["location"].endswith("note=changed")
    [row] = await portal.bench.rows("select url, options from webhook_endpoint")
    assert row["url"] == "https://shop.example/new"
    assert "payment.failed" in row["options"]


@pytest.mark.checklist("SG22")
async def test_the_bench_says_which_step_fails_and_keeps_no_secret(portal: Portal) -> None:
    bench = portal.bench
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()
    [request] = bench.receiver.requests
    headers = "\n".join(f"{name}: {value}" for name, value in request.headers)
    secret = "a-secret-nobody-may-find-again"
    browser = await portal.enters("read")
    answer = await browser.post(
        "/portal/check",
        data={"dialect": "merchant", "headers": headers, "body": request.body.decode(), "secret": secret},
    )
    assert answer.status_code == 200
    assert "does not verify" in answer.text
    assert "exactly what we sent" in answer.text
    assert secret not in answer.text
    changed = await browser.post(
        "/portal/check",
        data={"dialect": "merchant", "headers": headers, "body": request.body.decode()[:-1], "secret": secret},
    )
    assert "It differs from byte" in changed.text
    tables = await bench.rows(
        "select name from sqlite_master where type = 'table'"
        if bench.db.dialect == "sqlite"
        else "select tablename as name from pg_tables where schemaname = 'public'"
    )
    for table in tables:
        rows = await bench.rows(f"select * from {table['name']}")
        assert secret not in str(rows), table["name"]


async def test_the_catalogue_and_code_are_shown(portal: Portal) -> None:
    browser = await portal.enters("read")
    page = await browser.get("/portal/events?event=merchant:payment.completed")
    assert "&#34;event&#34;: &#34;payment.completed&#34;" in page.text
    assert "pix.charge.paid" not in page.text
    assert (await browser.get("/portal/events?event=merchant:../../x")).status_code == 200
    assert "hash_equals" in (await browser.get("/portal/samples")).text


async def test_everybody_reads_the_catalogue_and_the_bundle(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    bench = await Bench(database).start()
    given = dependencies(bench, database_url, tmp_path)
    app = create_documents_app(given)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as browser:
        bundle = await browser.get("/webhooks/schema.json")
        assert bundle.json()["$id"] == "urn:opentill:webhooks:2026-11-01"
        page = await browser.get("/webhooks?event=pix:pix.charge.paid&lang=pt-BR")
        assert "pix.charge.paid" in page.text
        assert 'lang="pt-BR"' in page.text
    await given.outbound.close()


async def test_guessing_links_is_slow(portal: Portal) -> None:
    browser = portal.browser()
    answers = [(await browser.get(f"/portal/pl1.{n}.x")).status_code for n in range(25)]
    assert answers[:20] == [404] * 20
    assert set(answers[20:]) == {429}
    portal.bench.clock.advance(MINUTE)
    assert (await browser.get("/portal/pl1.x.x")).status_code == 404


def parts() -> dict[str, Any]:
    from tests.contract.webhooks import documents as doc

    return {"payment": doc.payment(), "charge": doc.charge(), "receipt": doc.receipt()}
