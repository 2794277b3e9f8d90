"""When paying does not go as it should: each page says what happened, whether money moved, and what to do (U15)."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Opener
from tests.e2e.server import Server

NOT_CHARGED: Final = "You have not been charged."
DO_NOT_PAY: Final = "Please do not pay again."
PATIENCE_MS: Final = 30_000


class Payer:
    """Somebody with a browser, who pays at one server."""

    def __init__(self, server: Server, opened: Opener, chromium: Browser) -> None:
        self.server, self.opened, self.chromium = server, opened, chromium

    def orders(self, amount: str = "99.90", **fields: Any) -> dict[str, Any]:
        asked = {"amount": amount, "currency": "BRL", "redirect_url": "https://shop.example/thanks"} | fields
        made: dict[str, Any] = self.server.calls("/api/v1/payments", asked)["data"]
        return made

    def opens(self, made: dict[str, Any], **options: Any) -> Page:
        page = self.opened(**options)
        page.goto(made["checkout_url"])
        return page

    def tries(self, made: dict[str, Any], outcome: str, **options: Any) -> Page:
        """Choose the sandbox and the outcome."""
        page = self.opens(made, **options)
        page.get_by_role("button", name="Sandbox").click()
        page.get_by_role("button", name=re.compile(f"^{outcome}")).click()
        return page

    def status(self, made: dict[str, Any]) -> str:
        return str(self.server.payment(made["payment_id"])["status"])

    def time_passes(self, made: dict[str, Any]) -> None:
        """Let the payment's time end now."""
        with closing(sqlite3.connect(self.server.data / "opentill.db", timeout=20)) as books, books:
            books.execute("update payment set expires_at = created_at + 1 where uuid = ?", (made["payment_id"],))


def told(page: Page, heading: str, money: str = "", to_do: str = "") -> None:
    """Check what happened, whether money moved, and what the payer can do."""
    expect(page.locator("h1")).to_have_text(heading, timeout=PATIENCE_MS)
    if money:
        expect(page.get_by_text(money).first).to_be_visible()
    if to_do:
        expect(page.get_by_role("button", name=to_do).or_(page.get_by_role("link", name=to_do)).first).to_be_visible()


def declined(payer: Payer) -> None:
    page = payer.tries(made := payer.orders(), "Declined")
    told(page, "The payment did not go through", NOT_CHARGED, "Try again with Sandbox")
    page.get_by_role("button", name="Try again with Sandbox").click()
    page.get_by_role("button", name="Paid at once").click()
    told(page, "Payment received")
    assert payer.status(made) == "completed"


def declined_then_another_way(payer: Payer) -> None:
    page = payer.tries(payer.orders(), "Declined")
    told(page, "The payment did not go through", NOT_CHARGED, "PIX")
    page.get_by_role("button", name="PIX").click()
    told(page, "Pay with PIX", to_do="Copy the PIX code")


def declined_without_scripts(payer: Payer) -> None:
    page = payer.tries(payer.orders(), "Declined", java_script_enabled=False)
    told(page, "The payment did not go through", NOT_CHARGED, "Try again with Sandbox")


def expired(payer: Payer) -> None:
    payer.time_passes(made := payer.orders())
    told(payer.opens(made), "The time for this payment is over", "Did you pay in the last moment?", "Back to")
    assert payer.status(made) == "expired"


def expired_before_their_eyes(payer: Payer) -> None:
    page = payer.opens(made := payer.orders())
    told(page, "How would you like to pay?")
    payer.time_passes(made)
    told(page, "The time for this payment is over", to_do="Back to")


def expired_when_they_press(payer: Payer) -> None:
    page = payer.opens(made := payer.orders(), java_script_enabled=False)
    payer.time_passes(made)
    page.get_by_role("button", name="Sandbox").click()
    told(page, "The time for this payment is over", to_do="Back to")


def wrong_amount(payer: Payer) -> None:
    page = payer.tries(payer.orders(), "Wrong amount")
    told(page, "Somebody is looking at your payment", DO_NOT_PAY, "Back to")


def closed_tab_after_paying(payer: Payer) -> None:
    payer.tries(made := payer.orders(), "Paid at once").context.close()
    told(payer.opens(made), "Payment received", to_do="Back to")


def closed_tab_before_the_answer(payer: Payer) -> None:
    page = payer.tries(made := payer.orders(), "Answer lost")
    told(page, "Your payment is being confirmed", DO_NOT_PAY)
    page.context.close()
    page = payer.opens(made)
    told(page, "Payment received")
    assert payer.status(made) == "completed"


def closed_tab_with_a_code(payer: Payer) -> None:
    page = payer.opens(made := payer.orders("30.00"))
    page.get_by_role("button", name="PIX").click()
    told(page, "Pay with PIX")
    code = page.locator("#pix-code").text_content()
    page.context.close()
    again = payer.opens(made)
    told(again, "Pay with PIX", to_do="Copy the PIX code")
    assert again.locator("#pix-code").text_content() == code


def back_button(payer: Payer) -> None:
    page = payer.tries(made := payer.orders(redirect_url=None), "Paid at once")
    told(page, "Payment received")
    page.go_back()
    told(page, "Payment received")
    assert payer.status(made) == "completed"


def reload(payer: Payer) -> None:
    page = payer.tries(made := payer.orders(redirect_url=None), "Paid at once")
    told(page, "Payment received")
    page.reload()
    told(page, "Payment received")
    assert payer.status(made) == "completed"


def double_click(payer: Payer) -> None:
    page = payer.opens(made := payer.orders(redirect_url=None), java_script_enabled=False)
    page.get_by_role("button", name="Sandbox").click()
    page.get_by_role("button", name="Paid at once").dblclick()
    told(page, "Payment received")
    assert payer.status(made) == "completed"


def two_tabs(payer: Payer) -> None:
    made = payer.orders(redirect_url=None)
    first = payer.opens(made, java_script_enabled=False)
    first.get_by_role("button", name="Sandbox").click()
    second = payer.opens(made, java_script_enabled=False)
    second.get_by_role("button", name="Paid at once").click()
    told(second, "Payment received")
    first.get_by_role("button", name="Paid at once").click()
    told(first, "Payment received")


def offline(payer: Payer) -> None:
    made = payer.orders("30.00")
    context = payer.chromium.new_context(locale="en-GB")  # its console is full of failed requests, as it should be
    page = context.new_page()
    page.goto(made["checkout_url"])
    page.get_by_role("button", name="PIX").click()
    told(page, "Pay with PIX")
    context.set_offline(True)
    expect(page.locator("[data-connection]")).to_contain_text("do not pay again", timeout=PATIENCE_MS)
    page.wait_for_timeout(30_000)
    context.set_offline(False)
    expect(page.locator("[data-connection]")).to_have_text("Connected again.", timeout=PATIENCE_MS)
    context.close()


def language_switched(payer: Payer) -> None:
    page = payer.tries(payer.orders(), "Declined")
    told(page, "The payment did not go through", NOT_CHARGED)
    page.get_by_role("link", name="Español").click()
    told(page, "El pago no se realizó", to_do="Sandbox")
    page.get_by_role("link", name="Português").click()
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    told(page, "O pagamento não foi aprovado", to_do="Sandbox")


def the_call_was_lost(payer: Payer) -> None:
    page = payer.tries(payer.orders(), "Call lost")
    told(page, "Your payment is being confirmed", DO_NOT_PAY)
    told(page, "The payment did not go through", NOT_CHARGED, "Try again with Sandbox")


def cancelled(payer: Payer) -> None:
    page = payer.opens(made := payer.orders(cancel_url=None, redirect_url=None))
    page.get_by_role("link", name="Cancel and return").click()
    told(page, "Cancel this payment?", "No payment has arrived so far.", "No, go back to paying")
    page.get_by_role("button", name="Yes, cancel").click()
    told(page, "The payment was cancelled", NOT_CHARGED)
    told(payer.opens(made), "The payment was cancelled", NOT_CHARGED)


def cancelling_while_nobody_knows(payer: Payer) -> None:
    made = payer.orders()
    early = payer.opens(made, java_script_enabled=False)
    early.goto(made["checkout_url"] + "/cancel")
    told(early, "Cancel this payment?")
    told(payer.tries(made, "Pending, then paid"), "Your payment is being confirmed", DO_NOT_PAY)
    early.get_by_role("button", name="Yes, cancel").click()
    expect(early.locator("h1")).to_have_text(re.compile("Your payment is being confirmed|Payment received"))
    assert payer.status(made) in ("processing", "completed")


def the_last_use_is_taken(payer: Payer) -> None:
    fields = {"title": "Last one", "amount": "5.00", "currency": "BRL", "slug": "last-one", "max_uses": 1}
    payer.server.calls("/api/v1/payment-links", fields)
    first, second = payer.opened(), payer.opened()
    for page in (first, second):
        page.goto(f"{payer.server.url}/pay/last-one")
        page.get_by_label("Your name").fill("Ana")
        page.get_by_label("E-mail").fill("ana@example.com")
    first.get_by_role("button", name="Go on and pay").click()
    told(first, "How would you like to pay?")
    second.get_by_role("button", name="Go on and pay").click()
    told(second, "Somebody else is paying right now", "This was the last one.", "Try again")


SCENES: Final[tuple[Callable[[Payer], None], ...]] = (
    declined,
    declined_then_another_way,
    declined_without_scripts,
    expired,
    expired_before_their_eyes,
    expired_when_they_press,
    wrong_amount,
    closed_tab_after_paying,
    closed_tab_before_the_answer,
    closed_tab_with_a_code,
    back_button,
    reload,
    double_click,
    two_tabs,
    offline,
    language_switched,
    the_call_was_lost,
    cancelled,
    cancelling_while_nobody_knows,
    the_last_use_is_taken,
)


@pytest.mark.bar("U15")
@pytest.mark.checklist("M66")
def test_the_payer_always_knows_what_happened_and_what_to_do(
    server: Server, opened: Opener, chromium: Browser, bar_value: Callable[[float], None]
) -> None:
    payer, failed = Payer(server, opened, chromium), {}
    for scene in SCENES:
        try:
            scene(payer)
        except AssertionError as unclear:
            failed[scene.__name__] = str(unclear)

    bar_value(len(SCENES) - len(failed))
    assert failed == {}
