"""The merchant's look on the pages payers see, and whether a payer is shown a receipt."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.errors import Invalid
from opentill.merchants import options
from tests.usecases.checkout.shop import Shop, open_shop

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path)


async def test_name_logo_colour_and_support_are_the_merchants(shop: Shop) -> None:
    await shop.brands_itself(name="Casa do Chá", colour="#7a1f5c", support_email="oi@cha.example", logo=PNG)
    payment, invoice = await shop.orders(), await shop.bills()
    await shop.links()

    for path in (f"/checkout/{payment.token}", f"/invoice/{invoice.token}", "/pay/tea"):
        page = await shop.browser().opens(path)
        assert "Casa do Chá" in page.text
        assert "oi@cha.example" in page.text
        assert '<link rel="stylesheet" href="/checkout/brand/7a1f5c.css">' in page.page.text
        assert 'src="/checkout/logo/' in page.page.text


async def test_colour_and_logo_are_files_of_their_own(shop: Shop) -> None:
    await shop.brands_itself(colour="#7a1f5c", logo=PNG)
    page = await shop.browser().opens(f"/checkout/{(await shop.orders()).token}")
    logo = page.page.text.partition('class="logo" src="')[2].partition('"')[0]

    sheet = await page.client.get("/checkout/brand/7a1f5c.css")
    picture = await page.client.get(logo)

    assert sheet.headers["content-type"].startswith("text/css")
    assert "oklch(from #7a1f5c 0.47" in sheet.text
    assert (picture.headers["content-type"], picture.content) == ("image/png", PNG)
    for path in ("/checkout/brand/red.css", "/checkout/brand/7a1f5c}.css", "/checkout/logo/0"):
        assert (await page.client.get(path)).status_code == 404


async def test_what_is_no_colour_or_picture_is_refused(shop: Shop) -> None:
    for brand in ({"colour": "red"}, {"colour": "#FFF"}, {"time_zone": "Mars/Base"}, {"name": " "}):
        with pytest.raises(Invalid):
            await shop.brands_itself(**brand)
    for logo in (b"<svg onload=alert(1)>", b"GIF89a", PNG + b"\0" * 65_536):
        with pytest.raises(Invalid):
            await shop.brands_itself(logo=logo)


async def test_a_merchant_may_skip_the_receipt(shop: Shop) -> None:
    await shop.brands_itself(after_payment="redirect")
    payment = await shop.orders(redirect_url="https://shop.example/thanks?cart=7", order_id="A-1")
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")
    assert "form-action 'self' https://shop.example" in page.page.headers["content-security-policy"]
    [form] = page.forms

    paid = await page.client.post(form.action, data=form.fields | {"outcome": "paid"})
    went = await page.client.get(paid.headers["location"])
    in_place = await page.client.get(paid.headers["location"], headers={"x-renews": "1"})
    stayed = await page.client.get(f"/checkout/{payment.token}?stay=1")

    assert (await shop.reads(payment)).status == "completed"
    assert went.status_code == 303
    assert went.headers["location"].startswith("https://shop.example/thanks?cart=7&payment_id=")
    assert went.headers["location"].endswith("&order_id=A-1&status=completed")
    assert in_place.status_code == stayed.status_code == 200
    assert "Payment received" in stayed.text


async def test_without_a_return_address_a_merchant_may_send_payers_to_the_callback_address(shop: Shop) -> None:
    await shop.brands_itself(after_payment="redirect")
    choice = {"redirect_fallback": "callback_url"}
    for wanted, heading in (({}, "Payment received"), (choice, None)):
        await shop.db.write(lambda tx, wanted=wanted: options.change(tx, wanted, owner=shop.merchant.owner))
        payment = await shop.orders(callback_url="https://shop.example/hook")
        page = await shop.browser().opens(f"/checkout/{payment.token}")
        await page.presses("sandbox")
        [form] = page.forms
        paid = await page.client.post(form.action, data=form.fields | {"outcome": "paid"})
        went = await page.client.get(paid.headers["location"])
        if heading:
            assert heading in went.text
        else:
            assert went.headers["location"].startswith("https://shop.example/hook?payment_id=")
    assert (await shop.reads(payment)).redirect_url is None


async def test_without_an_address_to_go_to_the_receipt_is_shown(shop: Shop) -> None:
    await shop.brands_itself(after_payment="redirect")
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("sandbox")

    await page.presses("paid")

    assert page.heading == "Payment received"
