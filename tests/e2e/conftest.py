"""A server and a browser for the tests that look at OpenTill from outside."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.e2e.server import Server, started
from tests.e2e.showroom import Showroom
from tests.e2e.showroom import opened as opened_showroom

CHROMIUM = os.environ.get("OPENTILL_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Opener = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the browser's tests come last: its driver leaves an event loop running, beside which no other can."""
    items.sort(key=lambda item: item.path.is_relative_to(Path(__file__).parent))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Showroom]:
    """A furnished installation, for tests that look at what it holds and change little of it."""
    with opened_showroom(tmp_path_factory.mktemp("showroom"), sqlite_template) as room:
        yield room


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        reason = "no Chromium on this machine (OPENTILL_TEST_CHROMIUM names one)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser, server: Server, tmp_path: Path) -> Iterator[Opener]:
    """Opens pages in contexts of their own. What a page complains of in its console fails the test.

    The shop is played by the browser: nothing leaves this machine.
    """
    complaints: list[str] = []
    contexts = []

    def open_page(**options: object) -> Page:
        settings: dict[str, object] = {"viewport": {"width": 360, "height": 740}, "locale": "en-GB"} | options
        context = chromium.new_context(**settings)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route(lambda url: not url.startswith(server.url), play_the_shop)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def play_the_shop(route: Route) -> None:
    if "shop.example" in route.request.url:
        route.fulfill(status=200, content_type="text/html", body="<title>Shop</title><h1>Thanks</h1>")
    else:
        route.abort()
