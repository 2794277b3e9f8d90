"""From a clean machine to a paid sandbox payment, as the Developer Hub's checklist leads (bars.md U2, U3)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.server import started

PASSWORD: Final = "quatro cavalos pastam"
PERSON: Final = {"name": "Ana Souza", "email": "ana@loja.example", "password": PASSWORD, "repeated": PASSWORD}
WORDS_PER_S: Final = 4  # somebody who reads everything on the page before doing anything
TYPED_PER_S: Final = 3  # characters


class Newcomer:
    """Somebody with a browser who reads, types and clicks; pauses are added up instead of waited for."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks, self.paused_s = page, 0, 0.0

    def reads(self) -> None:
        self.paused_s += len(self.page.inner_text("main").split()) / WORDS_PER_S

    def clicks_on(self, target: Locator) -> None:
        target.click()
        self.clicks += 1
        self.page.wait_for_load_state()
        self.reads()

    def fills(self, fields: dict[str, str]) -> None:
        """Click into the first field, and go on with the Tab key."""
        first, *_ = fields
        if not self.page.evaluate("(name) => document.activeElement.name === name", first):
            self.page.locator(f"[name={first}]").first.click()
            self.clicks += 1
        for at, (name, text) in enumerate(fields.items()):
            if at:
                self.page.keyboard.press("Tab")
            assert self.page.evaluate("document.activeElement.name") == name
            self.page.keyboard.type(text)
            self.paused_s += len(text) / TYPED_PER_S

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True).first


@pytest.mark.bar("U2", part="clicks", gate=12, target=8)
@pytest.mark.bar("U2", part="time", gate=300, target=180)
@pytest.mark.bar("U3")
def test_a_newcomer_is_led_from_the_set_up_link_to_a_paid_payment(
    chromium: Browser, tmp_path: Path, bar_parts: Callable[[dict[str, float]], None]
) -> None:
    with started(tmp_path / "data", furnished=False) as server:
        context = chromium.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
        page, began = context.new_page(), time.monotonic()
        newcomer = Newcomer(page)
        page.goto(server.setup_link)
        newcomer.reads()
        expect(page.get_by_text("There is no default password")).to_be_visible()

        newcomer.fills(PERSON)
        newcomer.clicks_on(newcomer.button("Make the operator"))
        newcomer.fills({"name": "Padaria São João"})
        newcomer.clicks_on(newcomer.button("Make the merchant"))
        newcomer.clicks_on(newcomer.button("Generate key"))
        newcomer.clicks_on(newcomer.link("I have stored it"))
        newcomer.clicks_on(newcomer.button("Make it"))
        newcomer.clicks_on(newcomer.button("Pay it"))

        expect(page.get_by_text("The money is there and in the books.")).to_be_visible()
        seconds = time.monotonic() - began + newcomer.paused_s
        context.close()
    bar_parts({"clicks": newcomer.clicks, "time": round(seconds)})
    assert newcomer.clicks <= 12
    assert seconds <= 300
