"""The forms of the checkout: made for one page, counted once, and never a reason to fail."""

import asyncio
from pathlib import Path

import pytest

from opentill.db import Database
from opentill.payments.model import PaymentStatus
from tests.usecases.checkout.shop import Shop, open_shop


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path)


async def sessions(shop: Shop) -> int:
    rows = await shop.db.read(lambda tx: tx.all("select id from gateway_session"))
    return len(rows)


@pytest.mark.parametrize(
    "change",
    [
        {"form_digest": "0" * 64},
        {"form_digest": ""},
        {"form_key": "0" * 32},
        {"form_key": ""},
        {"form_key": "'; drop table payment; --"},
        {"form_digest": "é" * 64},
    ],
)
async def test_a_form_we_did_not_make_reloads_the_page_and_does_nothing(shop: Shop, change: dict[str, str]) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")

    await page.presses("sandbox", **change)

    assert "This page had changed since you opened it" in page.text
    assert page.heading == "How would you like to pay?"
    assert await sessions(shop) == 0


async def test_a_form_of_another_payment_or_action_does_not_fit(shop: Shop) -> None:
    mine, other = await shop.orders(), await shop.orders()
    page = await shop.browser().opens(f"/checkout/{mine.token}")
    fields = page.forms[0].fields

    await page.sends(f"/checkout/{other.token}/gateway", fields | {"gateway": "sandbox"})
    assert "This page had changed" in page.text
    await page.sends(f"/checkout/{mine.token}/cancel", fields)
    assert "This page had changed" in page.text
    assert (await shop.reads(mine)).status is (await shop.reads(other)).status is PaymentStatus.PENDING


async def test_a_form_made_for_an_earlier_try_does_not_pay_in_a_later_one(shop: Shop) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")
    kept_open = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("declined")
    await page.presses("Try again with Sandbox")

    await kept_open.presses("paid")

    assert "This page had changed" in kept_open.text
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING


async def test_a_form_sent_many_times_at_once_counts_once_and_shows_one_result(shop: Shop) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")
    form = page.forms[0]
    browsers = [shop.browser() for _ in range(8)]

    await asyncio.gather(*(one.sends(form.action, form.fields | {"outcome": "paid"}) for one in browsers))

    assert {one.page.status_code for one in browsers} == {200}
    again = await shop.browser().sends(form.action, form.fields | {"outcome": "paid"})
    assert "Payment received" in again.text
    receipts = await shop.db.read(lambda tx: tx.all("select id from receipt"))
    assert len(receipts) == 1


async def test_a_used_form_with_other_fields_is_refused_and_explained(shop: Shop) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    form = page.forms[0]
    await page.sends(form.action, form.fields | {"gateway": "sandbox"})

    await page.sends(form.action, form.fields | {"gateway": "pix"})

    assert "That form had been sent before with other details" in page.text
    assert page.heading == "Pay in the sandbox"


@pytest.mark.parametrize("outcome", ["", "free", "PAID", "paid\n"])
async def test_an_outcome_that_does_not_exist_does_nothing(shop: Shop, outcome: str) -> None:
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")

    await page.presses("paid", outcome=outcome)

    assert page.heading == "Pay in the sandbox"
    assert "That choice is not possible here." in page.text


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"gateway=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"", "", 415),
        (b"--x", "multipart/form-data; boundary=x", 415),
        (b"gateway=%FF%FE", "application/x-www-form-urlencoded", 400),
        (b"gateway=a%00b", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(110)), "application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_body_that_is_no_form_gets_a_page_that_says_so(
    shop: Shop, body: bytes, media_type: str, status: int
) -> None:
    payment = await shop.orders()
    headers = {"content-type": media_type} if media_type else {}
    for action in ("gateway", "payment", "cancel", "sandbox-bank"):
        answer = await shop.browser().client.post(f"/checkout/{payment.token}/{action}", content=body, headers=headers)
        assert answer.status_code == status
        assert "<h1>" in answer.text
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_method_a_page_does_not_have_gets_a_405_page(shop: Shop, method: str) -> None:
    payment = await shop.orders()
    answer = await shop.browser().client.request(method, f"/checkout/{payment.token}")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert "This page cannot be used that way" in answer.text


async def test_the_language_switch_is_remembered(shop: Shop) -> None:
    payment = await shop.orders()
    page = shop.browser(**{"accept-language": "es"})

    await page.opens(f"/checkout/{payment.token}")
    assert page.heading == "¿Cómo quieres pagar?"

    await page.opens(f"/checkout/{payment.token}?lang=pt-BR")
    assert page.heading == "Como você quer pagar?"
    cookie = page.page.headers["set-cookie"]
    assert all(flag in cookie for flag in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))

    await page.presses("sandbox")
    assert page.heading == "Pagar no ambiente de teste"
    assert 'lang="pt-BR"' in page.page.text
    await page.opens(f"/checkout/{payment.token}?lang=xx")
    assert page.heading == "Pagar no ambiente de teste"
