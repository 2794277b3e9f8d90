"""Paying by hand: what the payer is told, what they send, and what they see while a person looks for the money."""

from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR
from opentill.merchants import gateways
from opentill.payments import conversion
from opentill.payments.model import Detail, Payment, PaymentStatus
from tests.usecases.checkout.shop import Browser, Shop, open_shop

pytestmark = pytest.mark.anyio

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU"
    b"\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
)
SETTINGS = {
    "account_number": "0021-4455",
    "account_holder": "Padaria São João Ltda.",
    "qr_text": "wallet:0021-4455",
    "steps": {"en": ["Open your wallet.", "Send the amount."], "pt-BR": ["Abra sua carteira."]},
    "fields": [{"key": "branch", "label": "Branch", "required": True, "pattern": "[0-9]+"}],
}


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    shop = await open_shop(database, tmp_path)
    await offers_wallet(shop)
    return shop


async def offers_wallet(shop: Shop, **settings: Any) -> None:
    await shop.db.write(
        lambda tx: gateways.save_manual(
            tx,
            "wallet",
            name="Wallet",
            settings=SETTINGS | settings,
            owner=shop.merchant.owner,
            now=shop.clock.now(),
        )
    )


async def at_the_wallet(shop: Shop, **order: Any) -> tuple[Payment, Browser]:
    payment = await shop.orders(**order)
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    await page.presses("wallet")
    return payment, page


async def sends(page: Browser, files: list[tuple[str, bytes]] | None = None, **fields: str) -> None:
    """Send the form as a browser does: in parts, with the files that were chosen."""
    form = next(form for form in page.forms if "/submission" in form.action)
    filled = {name: value for name, value in form.fields.items() if name != "proof"} | fields
    parts = [("proof", (name, data, "application/octet-stream")) for name, data in files or [("", b"")]]
    answer = await page.client.post(form.action, data=filled, files=parts)
    page.page = await page.client.get(answer.headers["location"]) if answer.is_redirect else answer


async def count(shop: Shop, table: str) -> int:
    rows = await shop.db.read(lambda tx: tx.all(f"select count(*) as n from {table}"))
    number: int = rows[0]["n"]
    return number


async def test_the_payer_sees_what_to_do_in_their_language(shop: Shop) -> None:
    payment, page = await at_the_wallet(shop, amount="1234.50")

    assert page.heading == "Pay with Wallet"
    for text in ("Open your wallet.", "0021-4455", "Padaria São João Ltda.", "R$1,234.50", "1234.50", "Branch"):
        assert text in page.text
    assert 'class="qr-drawing"' in page.page.text
    portuguese = await shop.browser(**{"accept-language": "pt"}).opens(f"/checkout/{payment.token}")
    assert "Abra sua carteira." in portuguese.text


@pytest.mark.checklist("M56")
async def test_what_was_sent_waits_for_a_person(shop: Shop) -> None:
    payment, page = await at_the_wallet(shop, redirect_url="https://shop.example/thanks")

    await sends(page, [("receipt.png", PNG)], provider_trx_id=" 8n7a6d5 ", sender="+5511", branch="17")

    assert page.heading == "We are checking your payment"
    assert "Please do not pay again." in page.text
    assert page.links("Back to Padaria São João")[0].endswith("&status=processing")
    assert page.links("Cancel and return") == []
    assert (await shop.reads(payment)).detail is Detail.AWAITING_VERIFICATION
    assert (await count(shop, "submission"), await count(shop, "proof")) == (1, 1)


async def test_what_is_wrong_is_marked_and_nothing_is_sent(shop: Shop) -> None:
    payment, page = await at_the_wallet(shop)

    await sends(page, [("x.exe", b"MZ")], provider_trx_id="12345", branch="17")
    assert "Please choose up to 3 pictures or PDF files" in page.text
    await sends(page, provider_trx_id="x", branch="none", sender="+5511")

    assert page.page.status_code == 422
    assert "Please copy the id exactly" in page.text
    assert "Please fill this in as it is asked for." in page.text
    assert 'value="+5511"' in page.page.text
    assert await count(shop, "submission") == 0
    assert (await shop.reads(payment)).detail is Detail.PROCESSING


@pytest.mark.checklist("M56")
async def test_a_transaction_id_counts_once(shop: Shop) -> None:
    _, first = await at_the_wallet(shop)
    await sends(first, provider_trx_id="8N7A6D5", branch="17")
    payment, second = await at_the_wallet(shop)

    await sends(second, provider_trx_id="8n7a6d5", branch="17")

    assert "That transaction id was given before" in second.text
    assert second.heading == "Pay with Wallet"
    assert (await shop.reads(payment)).detail is Detail.PROCESSING


async def test_a_form_sent_twice_counts_once(shop: Shop) -> None:
    _, page = await at_the_wallet(shop)
    early = page.page

    await sends(page, provider_trx_id="8N7A6D5", branch="17")
    page.page = early
    await sends(page, provider_trx_id="8N7A6D5", branch="17")

    assert page.heading == "We are checking your payment"
    assert await count(shop, "submission") == 1


async def test_a_required_proof_and_too_many_files_are_told(shop: Shop) -> None:
    await offers_wallet(shop, proof_upload="required")
    _, page = await at_the_wallet(shop)

    await sends(page, provider_trx_id="8N7A6D5", branch="17")
    assert "Please choose up to 3 pictures or PDF files" in page.text
    await sends(page, [("a.png", PNG)] * 4, provider_trx_id="8N7A6D5", branch="17")

    assert page.page.status_code == 400
    assert await count(shop, "submission") == 0


async def test_too_large_an_upload_is_refused_before_it_is_kept(shop: Shop) -> None:
    _, page = await at_the_wallet(shop)

    await sends(page, [("a.png", b"\0" * 6_000_000)] * 3, provider_trx_id="8N7A6D5", branch="17")

    assert page.page.status_code == 413


async def test_the_time_of_a_payment_by_hand_ends_too(shop: Shop) -> None:
    payment, page = await at_the_wallet(shop)
    shop.clock.advance(HOUR)

    await sends(page, provider_trx_id="8N7A6D5", branch="17")

    assert page.heading == "The time for this payment is over"
    assert await count(shop, "submission") == 0
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING


async def test_a_gateway_of_another_currency_is_offered_with_a_rate_only(shop: Shop) -> None:
    owner, now = shop.merchant.owner, shop.clock.now()
    await shop.db.write(
        lambda tx: gateways.save_manual(
            tx, "wallet", name="Wallet", settings=SETTINGS, owner=owner, currency="BDT", now=now
        )
    )
    payment = await shop.orders("10.00", "USD")
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    assert [button[1] for button in page.forms[0].buttons] == ["sandbox"]

    await shop.db.write(lambda tx: conversion.set_rate(tx, "USD", "BDT", "110.25", source="feed", now=now))
    await page.opens(f"/checkout/{payment.token}")
    assert "1,102.50: 110.25 BDT for 1 USD." in page.text
    await page.presses("wallet")

    for told in ("1,102.50", "10.00", "at a rate of 110.25"):
        assert told in page.text


async def test_a_way_by_hand_says_so_before_it_is_chosen(shop: Shop) -> None:
    payment = await shop.orders(gateway="wallet")

    page = await shop.browser().opens(f"/checkout/{payment.token}")

    _, chosen, label = page.forms[0].buttons[0]
    assert chosen == "wallet"
    assert "Send the money yourself and tell the shop, which checks it." in label
