"""What every page tells the browser, and what no page contains (bars.md S9): a crawl of all of them."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR
from opentill.operators import service
from tests.usecases.checkout.shop import Browser, Shop, open_shop

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-robots-tag": "noindex, nofollow",
    "strict-transport-security": "max-age=63072000",
}
FORBIDDEN_ATTRIBUTES = re.compile(r"on\w+|style|srcdoc|background")
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "object": "data", "form": "action"}
HOSTILE = "\"'><script>alert(1)</script><img src=//evil.example onerror=alert(1)>{{7*7}}"
TEXT_OF_PAGES = ("choose", "pix", "sandbox", "declined", "short", "pending", "paid", "cancel", "expired")


class Reader(HTMLParser):
    """Collects what a page loads, runs and posts."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.forms: list[set[str]] = []
        self._script = self._posts = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.wrong += [f"<{tag} {name}>" for name in given if FORBIDDEN_ATTRIBUTES.fullmatch(name)]
        address = given.get(LOADING.get(tag, ""), "/")
        if tag in LOADING and not re.match(r"/(?!/)", address):
            self.wrong.append(f"<{tag}> loads or posts to {address}")
        if tag in ("style", "base", "iframe", "object", "embed"):
            self.wrong.append(f"<{tag}>")
        if tag == "a" and re.match(r"\s*(javascript|data|vbscript):", given.get("href", ""), re.I):
            self.wrong.append(f"<a href={given['href']}>")
        if tag == "form":
            self.forms.append(set())
            # A search changes nothing: it may get, and needs no stamp.
            self._posts = given.get("role") != "search"
            if given.get("method") != ("post" if self._posts else "get"):
                self.wrong.append(f"a form that does {given.get('method')}")
            if not self._posts:
                self.forms.pop()
        if tag == "input" and self.forms and self._posts:
            self.forms[-1].add(given["name"])
        self._script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.wrong.append("an inline script")

    def handle_endtag(self, tag: str) -> None:
        self._script = False


async def every_page(shop: Shop) -> AsyncIterator[httpx.Response]:
    """Visit every page there is, reached as people reach it, with hostile texts wherever a merchant can put one."""
    token = await shop.db.write(
        lambda tx: service.create_setup_link(tx, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
    )
    page = shop.browser()
    for path in (
        "/",
        "/setup/x",
        f"/setup/{token.reveal()}",
        "/nothing",
        "/checkout/x",
        "/checkout/",
        "/admin/sign-in",
    ):
        yield (await page.opens(path)).page
    await page.opens(f"/setup/{token.reveal()}")
    yield await page.presses("Make the operator", name=HOSTILE, email="x")
    yield await page.presses("Make the operator", form_digest="")
    person = {"name": "Ana", "email": "a@b.example", "password": "quatro cavalos", "repeated": "quatro cavalos"}
    yield await page.presses("Make the operator", **person)
    for way in TEXT_OF_PAGES:
        yield await walked(shop, page, way)
    yield await page.client.post("/", data={})
    yield await page.client.post("/setup/x", content=b"x" * 70_000, headers={"content-type": "text/plain"})
    await shop.db.write(lambda tx: tx.run("update merchant set status = 'suspended'"))
    yield await walked(shop, page, "choose")


async def walked(shop: Shop, page: Browser, way: str) -> httpx.Response:
    payment = await shop.orders(
        order_id=HOSTILE,
        description=HOSTILE,
        redirect_url="https://shop.example/?x=<script>",
        cancel_url="javascript:alert(1)",
    )
    path = f"/checkout/{payment.token}"
    await page.opens(path)
    if way == "cancel":
        await page.opens(f"{path}/cancel")
        return await page.presses("Yes, cancel")
    if way == "expired":
        shop.clock.advance(HOUR)
        return (await page.opens(path)).page
    if way == "choose":
        return (await page.opens(f"{path}?note=stale&choose=1&lang=en")).page
    await page.presses("pix" if way == "pix" else "sandbox")
    return page.page if way in ("pix", "sandbox") else await page.presses(way)


@pytest.mark.bar("S9")
async def test_every_page_is_safe_from_scripts_frames_and_foreign_forms(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    await shop.db.write(lambda tx: tx.run("update merchant set name = :name", name=HOSTILE))
    seen = 0

    async for answer in every_page(shop):
        seen += 1
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
        cookies = answer.headers.get_list("set-cookie")
        assert all("HttpOnly" in cookie and "Secure" in cookie and "SameSite=lax" in cookie for cookie in cookies)
        reader = Reader()
        reader.feed(answer.text)
        assert reader.wrong == []
        assert all({"form_key", "form_digest"} <= names for names in reader.forms)
        assert HOSTILE not in answer.text
    assert seen == 22


async def test_plain_http_makes_no_promise_about_https(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path, public_url="http://127.0.0.1:8000")
    page = await shop.browser().opens("/?lang=es")
    assert "strict-transport-security" not in page.page.headers
    assert "Secure" not in page.page.headers["set-cookie"]


async def test_assets_are_kept_for_ever_under_their_own_address_only(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    client = shop.browser().client
    home = (await client.get("/")).text
    [sheet] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', home)

    kept = await client.get(sheet)
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-type"] == "text/css; charset=utf-8"
    assert kept.headers["x-content-type-options"] == "nosniff"

    other = await client.get(re.sub(r"/assets/\w+/", "/assets/0000/", sheet))
    assert (other.status_code, other.headers["cache-control"], other.text) == (200, "no-cache", kept.text)
    for wrong in ("/assets/x/web/../../settings.py", "/assets/x/web/%2e%2e/pages.py", "/assets/x/web/site.py"):
        assert (await client.get(wrong)).status_code == 404
