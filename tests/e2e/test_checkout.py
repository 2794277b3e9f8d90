"""A payer in a browser, from outside: a started server, the shop's API call, and the page."""

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Opener
from tests.e2e.pictures import read_qr
from tests.e2e.server import CANCEL_URL, RETURN_URL, Server

SHOWN_WITHIN_MS = 2000  # after the event (bars.md U9)


def heading(page: Page, text: str) -> None:
    expect(page.locator("h1")).to_have_text(text)


def test_a_sandbox_payment_is_paid_and_the_payer_taken_back_to_the_shop(server: Server, opened: Opener) -> None:
    made = server.orders(amount="99.90")
    page = opened()
    page.goto(made["payment_url"])

    heading(page, "Pay in the sandbox")  # the only way to pay opens by itself
    page.get_by_role("button", name="Pay R$99.90").click()
    heading(page, "Payment received")
    assert server.payment(made["data"]["payment_id"])["status"] == "completed"

    page.wait_for_url("https://shop.example/**", timeout=8000)
    assert page.url.startswith(f"{RETURN_URL}&payment_id={made['data']['payment_id']}&transaction_id=txn_")
    assert page.url.endswith("&order_id=ORD-1001&status=completed")


def test_a_sandbox_payment_is_paid_without_scripts(server: Server, opened: Opener) -> None:
    made = server.orders(amount="99.90")
    page = opened(java_script_enabled=False)
    page.goto(made["payment_url"])

    heading(page, "Pay with Sandbox")
    page.get_by_role("button", name="Sandbox").click()
    heading(page, "Pay in the sandbox")
    page.get_by_role("button", name="Pay R$99.90").click()
    heading(page, "Payment received")
    assert server.payment(made["data"]["payment_id"])["status"] == "completed"

    page.wait_for_url("https://shop.example/**", timeout=8000)
    assert page.url.endswith("&status=completed")


def test_the_facts_of_a_payment_end_at_one_edge(server: Server, opened: Opener) -> None:
    page = opened(viewport={"width": 360, "height": 800})
    page.goto(server.orders("pix", "30.00")["payment_url"])
    heading(page, "Pay with PIX")

    expect(page.locator(".facts time[data-utc]")).to_be_visible()  # the reader's own time is there
    ends = page.locator(".summary .facts dd").evaluate_all(
        """values => values.map((value) => {
            const shown = document.createRange();
            shown.selectNodeContents(value.querySelector("time") ?? value);
            return shown.getBoundingClientRect().right;
        })"""
    )
    assert len(ends) > 1
    assert max(ends) - min(ends) < 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pix_picture_holds_the_text_that_is_copied(server: Server, opened: Opener, scheme: str) -> None:
    page = opened(color_scheme=scheme, permissions=["clipboard-read", "clipboard-write"])
    page.goto(server.orders("pix", "30.00")["payment_url"])
    heading(page, "Pay with PIX")

    page.get_by_role("button", name="Copy the PIX code").click()
    expect(page.get_by_role("button", name="Copied.")).to_be_visible()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("000201")
    assert copied == page.locator("#pix-code").text_content()
    assert read_qr(page.locator(".qr-drawing").screenshot()) == copied


def test_a_pix_payment_shows_by_itself_when_it_arrives(server: Server, opened: Opener) -> None:
    made = server.asks_anybody("30.00")
    page = opened()
    page.goto(made["checkout_url"])
    page.get_by_role("button", name="PIX").click()
    heading(page, "Pay with PIX")
    elsewhere = opened(java_script_enabled=False)
    elsewhere.goto(made["checkout_url"])

    elsewhere.get_by_role("button", name="Pay it at the sandbox bank").click()
    while server.payment(made["payment_id"])["status"] != "completed":
        time.sleep(0.02)
    expect(page.locator("h1")).to_have_text("Payment received", timeout=SHOWN_WITHIN_MS)

    expect(page.locator("[data-announcements]")).to_have_text("Payment received")
    elsewhere.reload()
    heading(elsewhere, "Payment received")


def test_a_declined_payer_tries_again_and_the_back_button_pays_nothing_twice(server: Server, opened: Opener) -> None:
    made = server.asks_anybody()
    page = opened()
    page.goto(made["checkout_url"])
    page.get_by_role("button", name="Sandbox").click()
    page.get_by_role("button", name="Declined").click()
    heading(page, "The payment did not go through")
    expect(page.get_by_text("You have not been charged.")).to_be_visible()

    page.get_by_role("button", name="Try again with Sandbox").click()
    page.get_by_role("button", name="Paid at once").click()
    heading(page, "Payment received")

    page.go_back()
    heading(page, "Payment received")
    assert server.payment(made["payment_id"])["status"] == "completed"


def test_a_pending_payment_becomes_paid_before_the_payers_eyes(server: Server, opened: Opener) -> None:
    page = opened()
    page.goto(server.orders(amount="10.03")["payment_url"])
    page.get_by_role("button", name="Pay R$10.03").click()
    heading(page, "Your payment is being confirmed")
    expect(page.locator("h1")).to_have_text("Payment received", timeout=30_000)


def test_a_payer_who_loses_the_connection_is_told_and_goes_on(server: Server, opened: Opener) -> None:
    page = opened()
    page.goto(server.orders("pix", "30.00")["payment_url"])
    heading(page, "Pay with PIX")

    # A hotel's portal answers everything with its own page.
    page.route("**/status*", lambda route: route.fulfill(status=200, body="<h1>Please sign in</h1>"))
    expect(page.locator("[data-connection]")).to_contain_text("No connection", timeout=15_000)
    page.unroute("**/status*")
    expect(page.locator("[data-connection]")).to_have_text("Connected again.", timeout=20_000)


def test_cancelling_asks_once_and_returns_to_the_shop(server: Server, opened: Opener) -> None:
    made = server.orders()
    page = opened()
    page.goto(made["payment_url"])
    heading(page, "Pay in the sandbox")
    page.get_by_role("link", name="Cancel and return").click()
    heading(page, "Cancel this payment?")

    page.get_by_role("button", name="Yes, cancel").click()

    page.wait_for_url("https://shop.example/**")
    assert page.url.startswith(f"{CANCEL_URL}?payment_id=")
    assert page.url.endswith("&status=cancelled")
    page.goto(made["payment_url"])
    heading(page, "The payment was cancelled")


@pytest.mark.bar("U8", part="keyboard")
def test_a_payment_is_made_with_the_keyboard_alone(server: Server, opened: Opener) -> None:
    page = opened(viewport={"width": 1280, "height": 800})
    page.goto(server.asks_anybody()["checkout_url"])
    heading(page, "How would you like to pay?")
    press(page, "Sandbox")
    heading(page, "Pay in the sandbox")
    press(page, "Pay R$99.90")
    heading(page, "Payment received")
    page.keyboard.press("Tab")
    press(page, "Stay on this page")
    expect(page.locator("[data-going]")).to_be_hidden()


def press(page: Page, name: str) -> None:
    """Walk to a control with the Tab key and press Enter; the focus must be seen on the way."""
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(e => [e.innerText, getComputedStyle(e).outlineStyle, e.className])(document.activeElement)"
        )
        assert focused[1] != "none", f"no visible focus on {focused[0]}"
        if name in focused[0]:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} cannot be reached")


@pytest.mark.parametrize("width", [320])
@pytest.mark.parametrize("language", ["pt-BR", "en", "es"])
def test_no_page_is_wider_than_its_window_and_every_target_is_large_enough(
    server: Server, opened: Opener, width: int, language: str
) -> None:
    page = opened(viewport={"width": width, "height": 740}, locale=language, java_script_enabled=True)
    for made in (server.asks_anybody(), server.orders("pix", "1234567.89"), server.orders("sandbox")):
        page.goto(made["checkout_url"] if "checkout_url" in made else made["payment_url"])
        page.wait_for_timeout(800)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate(
            """[...document.querySelectorAll('a, button')].filter(e => e.offsetParent !== null)
               .map(e => [e.innerText, e.getBoundingClientRect()])
               .filter(([, box]) => box.height < 24 || box.width < 24).map(([text]) => text)"""
        )
        assert small == []


def test_the_first_operator_is_made_in_a_browser(server: Server, opened: Opener, chromium: Browser) -> None:
    page = opened()
    page.goto(server.setup_link)
    page.get_by_label("Your name").fill("Ana Souza")
    page.get_by_label("E-mail").fill("ana@loja.example")
    page.get_by_label("Password", exact=True).fill("quatro cavalos pastam")
    page.get_by_label("The same password again").fill("quatro cavalos pastam")
    page.get_by_role("button", name="Make the operator").click()
    heading(page, "Loja Demo")  # signed in, at the merchant that is there already

    answer = chromium.new_context().request.get(server.setup_link)
    assert answer.status == 404
