"""The page of an invoice: read, printed, paid."""

from datetime import date
from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY
from opentill.payments.invoices import queries, service
from opentill.payments.invoices.model import Invoice
from opentill.payments.model import InvoiceStatus
from tests.usecases.checkout.shop import Shop, open_shop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path)


async def read(shop: Shop, invoice: Invoice) -> Invoice:
    found = await shop.db.read(lambda tx: queries.by_token(tx, invoice.token, keyring=shop.scene.keyring))
    assert found is not None
    return found


async def test_an_invoice_is_paid_from_its_page(shop: Shop) -> None:
    invoice = await shop.bills(due_on=date(2026, 3, 31), notes="Thank you.")
    page = await shop.browser().opens(f"/invoice/{invoice.token}")
    assert page.heading == "Invoice INV-000001"
    for text in ("Ana Lima", "Consulting, hours", "1.5", "R$180.00", "R$270.00", "Tax", "R$280.00", "Thank you.", "31"):
        assert text in page.text

    await page.presses("Pay R$280.00")
    assert page.links("INV-000001") == [f"/invoice/{invoice.token}"]
    await page.presses("sandbox")
    await page.presses("paid")
    assert page.heading == "Payment received"
    assert page.links("See the paid invoice") == [f"/invoice/{invoice.token}"]

    await page.opens(f"/invoice/{invoice.token}")
    assert page.forms == []
    assert "Paid" in page.text
    assert (await read(shop, invoice)).stored_status is InvoiceStatus.PAID


async def test_two_who_pay_one_invoice_meet_at_one_payment(shop: Shop) -> None:
    invoice = await shop.bills()
    places = []
    for _ in range(2):
        page = await shop.browser().opens(f"/invoice/{invoice.token}")
        places.append((await page.presses("Pay R$280.00", follow=False)).headers["location"])

    assert places[0] == places[1]


async def test_a_draft_and_a_cancelled_invoice_are_shown_and_not_payable(shop: Shop) -> None:
    draft = await shop.bills(send=False)
    page = await shop.browser().opens(f"/invoice/{draft.token}")
    assert "This invoice is a draft" in page.text
    assert page.forms == []

    await shop.db.write(lambda tx: service.cancel(tx, draft, keyring=shop.scene.keyring, now=shop.clock.now()))
    await page.opens(f"/invoice/{draft.token}")
    assert "This invoice was cancelled. Please do not pay it." in page.text


async def test_an_overdue_invoice_says_since_when_and_can_be_paid(shop: Shop) -> None:
    invoice = await shop.bills(due_on=date(2026, 3, 7))
    shop.clock.advance(DAY)

    page = await shop.browser().opens(f"/invoice/{invoice.token}")

    assert "This invoice was due on Mar 7, 2026" in page.text
    assert (await page.presses("Pay R$280.00", follow=False)).headers["location"].startswith("/checkout/")


async def test_a_button_pressed_after_the_invoice_was_paid_does_nothing(shop: Shop) -> None:
    invoice = await shop.bills()
    early = await shop.browser().opens(f"/invoice/{invoice.token}")
    page = await shop.browser().opens(f"/invoice/{invoice.token}")
    await page.presses("Pay R$280.00")
    await page.presses("sandbox")
    await page.presses("paid")

    await early.presses("Pay R$280.00")

    assert "This invoice had changed since you opened it" in early.text


async def test_a_token_nobody_was_given_shows_nothing(shop: Shop) -> None:
    for token in ("0" * 64, "x", "INV-000001"):
        assert (await shop.browser().opens(f"/invoice/{token}")).page.status_code == 404
