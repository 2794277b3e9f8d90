"""Payment links and invoices from outside: the shop's API call, the payer's browser, and what the shop then reads."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Opener
from tests.e2e.server import Server

INVOICE = {
    "customer": {"name": "Ana Souza", "email": "ana.souza@example.com"},
    "currency": "BRL",
    "items": [{"description": "Consulting, hours", "quantity": 1.5, "unit_price": "180.00"}],
    "due_date": "2099-12-31",
}


def heading(page: Page, text: str) -> None:
    expect(page.locator("h1")).to_have_text(text)


def make_link(server: Server, slug: str, **fields: object) -> dict[str, object]:
    asked = {"title": "Earl Grey", "amount": "24.90", "currency": "BRL", "slug": slug} | fields
    made: dict[str, object] = server.calls("/api/v1/payment-links", asked)["data"]
    return made


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.checklist("M66")
def test_a_link_is_paid(server: Server, opened: Opener, scripts: bool) -> None:
    slug = f"tea-{'with' if scripts else 'without'}-scripts"
    make_link(server, slug, redirect_url="https://shop.example/thanks")
    page = opened(java_script_enabled=scripts)
    page.goto(f"{server.url}/pay/{slug}")
    heading(page, "Who is paying?")
    page.get_by_label("Your name").fill("Ana Souza")
    page.get_by_label("E-mail").fill("ana.souza@example.com")
    page.get_by_role("button", name="Go on and pay R$24.90").click()

    heading(page, "How would you like to pay?")
    page.get_by_role("button", name="Sandbox").click()
    page.get_by_role("button", name="Pay R$24.90").click()
    heading(page, "Payment received")

    link = server.calls(f"/api/v1/payment-links/{slug}")["data"]
    assert link["use_count"] == 1
    page.wait_for_url("https://shop.example/thanks**", timeout=8000)
    assert page.url.endswith("&status=completed")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_an_invoice_is_paid(server: Server, opened: Opener, scripts: bool) -> None:
    invoice = server.calls("/api/v1/invoices", INVOICE)["data"]
    server.calls(f"/api/v1/invoices/{invoice['uuid']}/send", {})
    page = opened(java_script_enabled=scripts)
    page.goto(f"{server.url}/invoice/{invoice['url'].rpartition('/')[2]}")
    heading(page, f"Invoice {invoice['number']}")
    page.get_by_role("button", name="Pay R$270.00").click()

    heading(page, "How would you like to pay?")
    page.get_by_role("button", name="Sandbox").click()
    page.get_by_role("button", name="Pay R$270.00").click()
    heading(page, "Payment received")
    page.get_by_role("link", name="See the paid invoice").click()
    expect(page.locator(".badge")).to_have_text("Paid")

    paid = server.calls(f"/api/v1/invoices/{invoice['uuid']}")["data"]
    assert (paid["status"], paid["amount_paid"]) == ("paid", "270.00")
    assert server.payment(paid["payment_id"])["invoice"]["number"] == invoice["number"]


@pytest.mark.parametrize("width", [320])
@pytest.mark.parametrize("language", ["pt-BR", "en", "es"])
def test_their_pages_fit_every_window_and_finger(server: Server, opened: Opener, width: int, language: str) -> None:
    slug = f"wide-{width}-{language.lower()}"
    question = {"key": "size", "label": "Tamanho da embalagem para presente", "type": "select", "options": ["S", "M"]}
    make_link(server, slug, amount=None, is_amount_fixed=False, require_address=True, fields=[question])
    lines = [{"description": "Consultoria " * 8, "quantity": "999.99", "unit_price": "12345.67"}]
    invoice = server.calls("/api/v1/invoices", INVOICE | {"items": lines})["data"]
    page = opened(viewport={"width": width, "height": 740}, locale=language)
    for path in (f"/pay/{slug}", f"/invoice/{invoice['url'].rpartition('/')[2]}"):
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        small = page.evaluate(
            """[...document.querySelectorAll('a, button, input, select, textarea')]
               .filter(e => e.offsetParent !== null && e.type !== 'hidden')
               .map(e => [e.innerText || e.name, e.getBoundingClientRect()])
               .filter(([, box]) => box.height < 24 || box.width < 24).map(([text]) => text)"""
        )
        assert small == [], path
