"""A payer pays: every stage of the page and every outcome, without scripts, on a real database."""

import re
from pathlib import Path

import pytest
import zxingcpp

from opentill.db import Database
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.mode import Mode
from opentill.payments.model import Detail, PaymentStatus
from opentill.pix.port import NotSent, Refused
from tests.usecases.checkout.shop import Browser, Shop, open_shop

SHOP_URL = "https://shop.example/thanks?cart=7"
CANCEL_URL = "https://shop.example/cart?cancel=1&amp;order_id=own"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path)


def read_qr(page: str) -> str:
    """Read the drawing of a page with an independent reader."""
    drawing = re.search(r'viewBox="0 0 (\d+) \d+" shape-rendering.*?<path fill="#000" d="([^"]+)"', page, re.S)
    assert drawing is not None
    side, scale = int(drawing[1]), 4
    pixels = bytearray(b"\xff" * (side * scale) ** 2)
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)", drawing[2]):
        for row in range(int(y) * scale, int(y) * scale + scale):
            start = row * side * scale + int(x) * scale
            pixels[start : start + int(length) * scale] = bytes(int(length) * scale)
    image = memoryview(pixels).cast("B", (side * scale, side * scale))
    [read] = zxingcpp.read_barcodes(image)
    return str(read.text)


async def test_the_page_says_what_is_paid_to_whom_and_how_it_can_be_paid(shop: Shop) -> None:
    payment = await shop.orders("1234.50", order_id="ORD-1001", description="2 × Café <b>torrado</b>")

    page = await shop.browser(**{"accept-language": "en"}).opens(f"/checkout/{payment.token}")

    assert page.page.status_code == 200
    assert page.heading == "How would you like to pay?"
    for told in ("Padaria São João", "R$1,234.50", "ORD-1001", "2 × Café <b>torrado</b>", "Time left 30:00"):
        assert told in page.text
    assert [button[1] for button in page.forms[0].buttons] == ["pix", "sandbox"]


@pytest.mark.parametrize("token", ["0" * 64, "abc", "A" * 64, "..%2f..%2fetc", "%00", "é"])
async def test_an_unknown_token_is_a_friendly_404(shop: Shop, token: str) -> None:
    for path in (f"/checkout/{token}", f"/checkout/{token}/status", f"/checkout/{token}/cancel"):
        page = await shop.browser().opens(path)
        assert page.page.status_code == 404
        assert page.heading == "There is nothing here"


async def test_a_sandbox_payment_is_paid_and_leads_back_to_the_shop(shop: Shop) -> None:
    payment = await shop.orders("99.90", order_id="ORD-1", redirect_url=SHOP_URL)
    page = await shop.browser().opens(f"/checkout/{payment.token}")

    await page.presses("sandbox")
    assert "Pay R$99.90" in page.text
    await page.presses("pay")

    paid = await shop.reads(payment)
    assert paid.status is PaymentStatus.COMPLETED
    assert page.heading == "Payment received"
    target = f"{SHOP_URL}&payment_id={paid.uuid}&transaction_id={paid.reference}&order_id=ORD-1&status=completed"
    assert page.links("Back to Padaria São João") == [target]
    assert f'content="5;url={target}"'.replace("&", "&amp;") in page.page.text
    for told in ("R$99.90", paid.reference, "Sandbox", "Mar 7, 2026"):
        assert told in page.text


async def test_a_receipt_stays_if_the_payer_asks_or_comes_back_later(shop: Shop) -> None:
    payment = await shop.orders(redirect_url=SHOP_URL)
    page = await pays(shop, payment.token, "sandbox", "paid")
    assert "http-equiv" in page.page.text

    await page.opens(page.links("Stay on this page")[0])
    assert "http-equiv" not in page.page.text

    shop.clock.advance(2 * HOUR)
    await page.opens(f"/checkout/{payment.token}")
    assert page.heading == "Payment received"
    assert "http-equiv" not in page.page.text
    assert page.links("Back to")


async def test_without_a_way_back_the_receipt_is_the_end(shop: Shop) -> None:
    page = await pays(shop, (await shop.orders()).token, "sandbox", "paid")
    assert "You can close this page." in page.text
    assert page.links("Back to") == []


async def test_a_declined_try_is_said_to_have_cost_nothing_and_can_be_repeated(shop: Shop) -> None:
    payment = await shop.orders()
    page = await pays(shop, payment.token, "sandbox", "declined")
    assert page.heading == "The payment did not go through"
    assert "You have not been charged." in page.text

    await page.presses("Try again with Sandbox")
    await page.presses("paid")
    assert page.heading == "Payment received"


async def test_a_pending_payment_is_shown_as_such_until_the_provider_has_decided(shop: Shop) -> None:
    payment = await shop.orders(redirect_url=SHOP_URL)
    page = await pays(shop, payment.token, "sandbox", "pending")
    assert page.heading == "Your payment is being confirmed"
    assert "Please do not pay again." in page.text
    assert page.links("Back to") == []
    assert 'http-equiv="refresh" content="3"' in page.page.text

    shop.clock.advance(31 * SECOND)
    await page.opens(f"/checkout/{payment.token}")
    [way_back] = page.links("Back to")
    assert way_back.endswith("&status=processing")

    await shop.asks_the_gateways()
    await page.opens(f"/checkout/{payment.token}")
    assert page.heading == "Payment received"


@pytest.mark.checklist("M58")
async def test_coming_back_from_the_provider_asks_it_before_anything_is_shown(shop: Shop) -> None:
    payment = await shop.orders()
    page = await pays(shop, payment.token, "sandbox", "answer_lost")
    assert page.heading == "Your payment is being confirmed"

    await page.opens(f"/checkout/{payment.token}/return/{(await shop.session(payment)).reference}")
    assert page.heading == "Payment received"


async def test_coming_back_under_a_foreign_session_asks_nobody(shop: Shop) -> None:
    payment = await shop.orders()
    page = await pays(shop, payment.token, "sandbox", "answer_lost")
    await page.opens(f"/checkout/{payment.token}/return/ses_{'0' * 24}")
    assert page.heading == "Your payment is being confirmed"


async def test_a_wrong_amount_waits_for_a_person_and_says_so(shop: Shop) -> None:
    payment = await shop.orders(redirect_url=SHOP_URL)
    page = await pays(shop, payment.token, "sandbox", "short")
    assert (await shop.reads(payment)).detail is Detail.PENDING_REVIEW
    assert page.heading == "Somebody is looking at your payment"
    assert page.links("Back to")[0].endswith("&status=processing")


async def test_a_pix_code_can_be_copied_or_scanned_and_both_are_the_same(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    page = await shop.browser().opens(f"/checkout/{payment.token}")

    await page.presses("pix")

    assert page.heading == "Pay with PIX"
    code = re.search(r'<code[^>]*id="pix-code"[^>]*>(.*?)</code>', page.page.text, re.S)
    assert code is not None
    assert code[1].startswith("000201")
    assert read_qr(page.page.text) == code[1]


async def test_a_pix_payment_played_at_the_sandbox_bank_completes(shop: Shop) -> None:
    payment = await shop.orders("30.00", redirect_url=SHOP_URL)
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("pix")
    before = await status(page, payment.token)

    await page.presses("Pay it at the sandbox bank")
    assert "tells us in a moment" in page.text
    assert await status(page, payment.token) == before

    await shop.looks_at_the_bank(payment)
    after = await status(page, payment.token)
    assert (after["status"], after["stage"]) == ("completed", "completed")
    assert after["stamp"] != before["stamp"]
    await page.opens(f"/checkout/{payment.token}")
    assert page.heading == "Payment received"


async def test_only_a_sandbox_code_can_be_played(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path, mode=Mode.LIVE)
    payment = await shop.orders("30.00")
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("pix")
    fields = page.forms[0].fields if page.forms else {}

    assert "sandbox" not in page.text.lower()
    await page.sends(f"/checkout/{payment.token}/sandbox-bank", fields)
    await shop.looks_at_the_bank(payment)
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING


async def test_a_fixed_way_to_pay_is_the_only_one(shop: Shop) -> None:
    payment = await shop.orders(gateway="pix", gateway_fixed=True)
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    assert page.heading == "Pay with PIX"
    assert [button[1] for button in page.forms[0].buttons] == ["pix"]

    await page.presses("pix", gateway="sandbox")
    assert "That choice is not possible here." in page.text
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING


async def test_a_preferred_way_comes_first(shop: Shop) -> None:
    payment = await shop.orders(gateway="sandbox")
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    assert [button[1] for button in page.forms[0].buttons] == ["sandbox", "pix"]


async def test_a_way_that_cannot_take_the_currency_or_the_mode_is_not_offered(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    dollars = await shop.orders("10.00", "USD")
    page = await shop.browser().opens(f"/checkout/{dollars.token}")
    assert [button[1] for button in page.forms[0].buttons] == ["sandbox"]


async def test_a_live_payment_is_not_offered_the_sandbox(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path, mode=Mode.LIVE)
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    assert [button[1] for button in page.forms[0].buttons] == ["pix"]


async def test_another_way_can_be_chosen_while_nothing_was_submitted(shop: Shop) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")

    await page.opens(page.links("Pay another way")[0])
    assert page.heading == "How would you like to pay?"
    await page.presses("pix")
    assert page.heading == "Pay with PIX"


async def test_a_completed_payment_can_never_be_paid_again(shop: Shop) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    other_tab = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")
    third_tab = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("paid")

    await other_tab.presses("pix")
    assert other_tab.heading == "Payment received"
    await third_tab.presses("paid")
    assert third_tab.heading == "Payment received"
    receipts = await shop.db.read(lambda tx: tx.all("select id from receipt"))
    assert len(receipts) == 1


async def test_cancelling_asks_once_and_goes_back_to_the_shop(shop: Shop) -> None:
    payment = await shop.orders(order_id="ORD-1", redirect_url=SHOP_URL, cancel_url=CANCEL_URL)
    page = await shop.browser().opens(f"/checkout/{payment.token}/cancel")
    assert page.heading == "Cancel this payment?"
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING
    assert "form-action 'self' https://shop.example" in page.page.headers["content-security-policy"]

    answer = await page.presses("Yes, cancel", follow=False)

    ended = await shop.reads(payment)
    assert ended.status is PaymentStatus.CANCELLED
    assert answer.status_code == 303
    assert answer.headers["location"] == (
        "https://shop.example/cart?cancel=1&order_id=own"
        f"&payment_id={ended.uuid}&transaction_id={ended.reference}&status=cancelled"
    )


async def test_a_cancelled_payment_says_so_and_leads_back(shop: Shop) -> None:
    payment = await shop.orders(redirect_url=SHOP_URL)
    page = await shop.browser().opens(f"/checkout/{payment.token}/cancel")
    await page.presses("Yes, cancel")

    assert page.heading == "The payment was cancelled"
    assert page.links("Back to")[0].endswith("&status=cancelled")
    await page.opens(f"/checkout/{payment.token}/cancel")
    assert page.heading == "The payment was cancelled"


async def test_a_pix_code_that_was_just_paid_is_not_cancelled(shop: Shop) -> None:
    payment = await shop.orders("30.00", cancel_url=CANCEL_URL)
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("pix")
    [txid] = shop.bank.charges
    await shop.bank.pay(txid)

    await page.opens(f"/checkout/{payment.token}/cancel")
    await page.presses("Yes, cancel")

    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert page.heading == "Payment received"


async def test_an_expired_payment_leads_back_with_its_word(shop: Shop) -> None:
    payment = await shop.orders(redirect_url=SHOP_URL, cancel_url=CANCEL_URL)
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    shop.clock.advance(30 * MINUTE)

    await page.presses("sandbox")

    assert page.heading == "The time for this payment is over"
    assert page.links("Back to")[0].startswith("https://shop.example/cart?cancel=1&order_id=own&")
    assert page.links("Back to")[0].endswith("status=expired")
    assert page.forms == []


async def test_a_suspended_merchant_takes_no_payment_and_the_payer_is_told(shop: Shop) -> None:
    payment = await shop.orders()
    await shop.db.write(lambda tx: tx.run("update merchant set status = 'suspended'"))
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    assert page.heading == "Not available at the moment"
    assert page.forms == []


async def test_a_bank_that_does_not_answer_leaves_the_other_ways(shop: Shop) -> None:
    shop.bank.failures = [Refused("other", "no")]
    payment = await shop.orders()
    shop.clock.advance(SECOND)
    page = await shop.browser().opens(f"/checkout/{payment.token}")

    await page.presses("pix")

    assert "This method does not answer at the moment." in page.text
    assert [button[1] for button in page.forms[0].buttons] == ["sandbox"]


async def test_a_code_the_bank_has_not_made_yet_can_be_asked_for_again(shop: Shop) -> None:
    shop.bank.failures = [NotSent("away")] * 3
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")

    await page.presses("pix")
    assert page.heading == "Your PIX code is being made"
    assert "This method does not answer at the moment." in page.text

    await page.presses("Ask the bank again")
    assert page.heading == "Pay with PIX"


async def pays(shop: Shop, token: str, way: str, outcome: str) -> Browser:
    page = await shop.browser().opens(f"/checkout/{token}")
    await page.presses(way)
    await page.presses(outcome)
    return page


async def status(page: Browser, token: str) -> dict[str, str]:
    answer = await page.client.get(f"/checkout/{token}/status")
    told: dict[str, str] = answer.json()
    return told
