"""What people do most, with the keyboard alone and the focus in sight (bars.md U8). Paying is in test_checkout."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.showroom import Showroom
from tests.e2e.test_a11y import guest

STEPS_MAX = 80
FOCUSED = """(() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const said = one.labels?.[0]?.innerText || one.getAttribute("aria-label") || one.innerText || "";
  return [said.trim(), style.outlineStyle !== "none" || style.boxShadow !== "none"];
})()"""


def walks_to(page: Page, name: str) -> None:
    """Press the Tab key until a control has the focus; it must be seen wherever it is on the way."""
    for _ in range(STEPS_MAX):
        page.keyboard.press("Tab")
        said, seen = page.evaluate(FOCUSED)
        assert seen, f"no visible focus on {said!r}"
        if said.startswith(name):
            return
    raise AssertionError(f"{name} cannot be reached")


def skips(page: Page) -> None:
    walks_to(page, "Skip to the content")
    page.keyboard.press("Enter")


def heading(page: Page, text: str) -> None:
    expect(page.locator("h1")).to_contain_text(text)


@pytest.mark.bar("U8")
def test_somebody_signs_in(chromium: Browser, room: Showroom) -> None:
    context = chromium.new_context(locale="en")
    page = context.new_page()
    page.goto(f"{room.url}/admin/sign-in")
    if page.evaluate("document.activeElement.name") != "email":
        walks_to(page, "E-mail")
    page.keyboard.type("ana@loja.example")
    walks_to(page, "Password")
    page.keyboard.type("quatro cavalos pastam")
    page.keyboard.press("Enter")
    heading(page, room.house.shop.merchant.name)
    context.close()


@pytest.mark.bar("U8")
def test_a_refund_is_given(chromium: Browser, room: Showroom) -> None:
    with guest(chromium, room, "en", viewport={"width": 1280, "height": 860}) as context:
        page = context.new_page()
        page.goto(f"{room.url}{room.house.home}/payments/{room.house.names['payment']}")
        skips(page)
        walks_to(page, "Refund")
        page.keyboard.press("Enter")
        heading(page, "Refund")
        skips(page)
        walks_to(page, "Amount")
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("2.00")
        walks_to(page, "Why")
        page.keyboard.type("broken")
        walks_to(page, "Give it back")
        page.keyboard.press("Enter")
        heading(page, "R$99.90")
    refunds = room.do(room.house.shop.db.read(lambda tx: tx.all("select units from refund order by id desc limit 1")))
    assert [row["units"] for row in refunds] == [20_000]


@pytest.mark.bar("U8")
def test_a_payment_link_is_followed_to_its_checkout(chromium: Browser, room: Showroom) -> None:
    with guest(chromium, room, "en") as context:
        page = context.new_page()
        page.goto(f"{room.url}/pay/{room.house.names['link']}")
        walks_to(page, "Your name")
        page.keyboard.type("Ana Souza")
        walks_to(page, "E-mail")
        page.keyboard.type("ana@example.com")
        walks_to(page, "Go on and pay")
        page.keyboard.press("Enter")
        heading(page, "How would you like to pay?")
