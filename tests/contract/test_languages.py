"""No page holds a text that no translator ever saw (bars.md U10): the pages are read in a language of our own."""

import gettext
import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from opentill.admin.handlers import create_admin_app
from opentill.checkout.handlers import create_checkout_app
from opentill.db import Database
from opentill.kernel.clock import HOUR
from opentill.operators import service
from opentill.web import languages
from opentill.web.pages import Pages
from tests.usecases.checkout.shop import Shop, open_shop

NOT_TEXT = re.compile(r"<(script|style|svg|code|time|noscript|q)\b.*?</\1>", re.S)
TRANSLATED = re.compile(r"⟦[^⟦⟧]*(?:⟦[^⟦⟧]*⟧[^⟦⟧]*)*⟧")
OF_THE_MERCHANT = ("Padaria São João", "OpenTill", "PIX", "Sandbox", "Português", "English", "Español", "P")


class Bracketed(gettext.NullTranslations):
    """A language in which every translated text stands in brackets, and is longer than any other's."""

    def gettext(self, message: str) -> str:
        return f"⟦{message} {'~' * (len(message) // 3)}⟧"


async def pseudo(database: Database, folder: Path) -> Shop:
    shop = await open_shop(database, folder)
    english = replace(languages.load()["en"], texts=Bracketed())
    pages = Pages(ids=shop.scene.ids, public_url="https://pay.example.com", spoken={"en": english})
    shop.app = Starlette(
        routes=[
            Mount("/checkout", create_checkout_app(shop.deps, pages)),
            Mount("/", create_admin_app(shop.deps, pages)),
        ]
    )
    return shop


def fixed_text(page: str) -> str:
    """Return what is left of a page without markup, translated texts, figures, and what the merchant wrote."""
    attributes = " ".join(re.findall(r'\b(?:aria-label|data-done|data-away|data-back|title|alt)="([^"]*)"', page))
    left = re.sub(r"<[^>]+>", "\n", NOT_TEXT.sub(" ", page[page.index("<title>") :])) + "\n" + attributes
    left = TRANSLATED.sub(" ", left)
    for name in OF_THE_MERCHANT:
        left = re.sub(rf"^\s*{name}\s*$|(?<=· ){name}$", "", left, flags=re.M)
    return " ".join(re.findall(r"[^\W\d_]{2,}", re.sub(r"R\$[\d.,]+", "", left)))


@pytest.mark.bar("U10", part="no fixed text")
async def test_no_page_shows_a_text_that_is_not_translated(database: Database, tmp_path: Path) -> None:
    shop = await pseudo(database, tmp_path)
    token = await shop.db.write(
        lambda tx: service.create_setup_link(tx, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
    )
    page = shop.browser()
    pages = {}
    for path in ("/", f"/setup/{token.reveal()}", "/setup/x", "/nothing", "/checkout/x"):
        pages[path] = (await page.opens(path)).page.text
    await page.opens(f"/setup/{token.reveal()}")
    pages["wrong fields"] = (await page.presses("Make the operator", password="x")).text
    for note in ("stale", "used", "unclear", "waiting", "often", "away", "gone", "played"):
        payment = await shop.orders()
        pages[note] = (await page.opens(f"/checkout/{payment.token}?note={note}")).page.text
    for outcome in ("pix", "sandbox", "paid", "declined", "pending", "short", "cancel", "cancelled", "expired"):
        pages[outcome] = await read(shop, outcome)

    left = {name: fixed for name, text in pages.items() if (fixed := fixed_text(text))}
    assert left == {}


async def read(shop: Shop, outcome: str) -> str:
    payment = await shop.orders(redirect_url="https://shop.example/", order_id="1", description="2")
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    if outcome.startswith("cancel"):
        await page.opens(f"/checkout/{payment.token}/cancel")
        return page.page.text if outcome == "cancel" else (await page.presses("Yes, cancel")).text
    if outcome == "expired":
        shop.clock.advance(HOUR)
        return (await page.opens(f"/checkout/{payment.token}")).page.text
    await page.presses("pix" if outcome == "pix" else "sandbox")
    return page.page.text if outcome in ("pix", "sandbox") else (await page.presses(outcome)).text
