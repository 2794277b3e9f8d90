"""No page holds a text that no translator ever saw (bars.md U10): the pages are read in a language of our own."""

import gettext
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from opentill.admin.handlers import create_admin_app
from opentill.checkout.handlers import create_checkout_app
from opentill.checkout.invoice_page import create_invoice_app
from opentill.checkout.link_page import create_pay_app
from opentill.db import Database, Tx
from opentill.kernel.clock import HOUR
from opentill.kernel.money import currency, parse
from opentill.kernel.secret import Secret
from opentill.merchants import gateways
from opentill.operators import audit, service
from opentill.payments.invoices.model import Item
from opentill.payments.links.model import Kind, Question
from opentill.portal.documents import create_documents_app
from opentill.portal.handlers import create_portal_app
from opentill.web import languages
from opentill.web.error_codes import BY_CODE
from opentill.web.pages import Pages
from opentill.webhooks import planning, portal_access, schema
from opentill.webhooks import service as webhooks
from opentill.webhooks.model import BOUNDS, Dialect, Options
from tests.usecases.checkout.shop import Shop, open_shop

NOT_TEXT = re.compile(r"<(script|style|svg|code|time|noscript|q)\b.*?</\1>", re.S)
TRANSLATED = re.compile(r"⟦[^⟦⟧]*(?:⟦[^⟦⟧]*⟧[^⟦⟧]*)*⟧")
NAMES = ("Standard Webhooks", "OwnPay", "JSON Schema", "Python", "Node", "PHP")
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
            Mount("/portal", create_portal_app(shop.deps, pages)),
            Mount("/docs", create_documents_app(shop.deps, pages)),
            Mount("/pay", create_pay_app(shop.deps, pages)),
            Mount("/invoice", create_invoice_app(shop.deps, pages)),
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

    pages |= await portal_pages(shop)
    await read_links_and_invoices(shop, pages)
    await read_ways_by_hand(shop, pages)

    left = {name: fixed for name, text in pages.items() if (fixed := fixed_text(text))}
    assert left == {}


async def portal_pages(shop: Shop) -> dict[str, str]:
    """Read the portal with an endpoint whose deliveries failed, and every finding of the verification bench."""
    scene, now = shop.scene, shop.clock.now()

    def prepare(tx: Tx) -> tuple[str, Secret]:
        endpoint, _ = webhooks.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=shop.merchant.owner,
            dialect=Dialect.MERCHANT,
            url="https://shop.example/hook",
            options=Options(),
            ids=scene.ids,
            keyring=scene.keyring,
            now=now,
        )
        link = portal_access.make_link(
            tx,
            bounds=BOUNDS,
            owner=shop.merchant.owner,
            endpoints=[endpoint.public_id],
            rights=portal_access.RIGHTS,
            ids=scene.ids,
            keyring=scene.keyring,
            now=now,
            by=audit.at_console("", ""),
        )
        return endpoint.public_id, link

    name, link = await shop.db.write(prepare)
    await shop.orders()
    await shop.db.write(lambda tx: planning.plan(tx, ids=scene.ids, keyring=scene.keyring, now=now))
    [row] = await shop.db.read(lambda tx: tx.all("select public_id from webhook_delivery order by id limit 1"))
    page = shop.browser()
    await page.opens(f"/portal/{link.reveal()}")
    found = {}
    at = f"/portal/endpoints/{name}"
    notes = (
        "tested", "resent", "changed", "again", "stopped", "paused", "activated", "stale", "used", "busy", "refused",
        "wrong_url", "wrong_events", "wrong_x",
    )  # fmt: skip
    for path in (
        "/portal/", "/portal/check", "/portal/events", "/portal/samples", "/docs/webhooks", "/docs/errors",
        f"/portal/deliveries/{row['public_id']}", *(f"{at}?note={note}" for note in notes),
    ):  # fmt: skip
        found[path] = (await page.opens(path)).page.text
    for state in (1, 2):
        await shop.db.write(lambda tx, state=state: tx.run("update webhook_endpoint set state = :s", s=state))
        found[f"state {state}"] = (await page.opens(at)).page.text
    return {path: without_names(text) for path, text in found.items()}


def without_names(page: str) -> str:
    """Take out what has one name in every language: addresses, events, dialects, languages of programmers."""
    for name in (
        "https://shop.example/hook",
        *NAMES,
        *sorted(BY_CODE, key=len, reverse=True),
        *schema.events_of(Dialect.MERCHANT),
    ):
        page = page.replace(name, "")
    return page


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


async def read_links_and_invoices(shop: Shop, pages: dict[str, str]) -> None:
    """Read the pages of links and invoices in every state, with every fault a form can have."""
    page, brl = shop.browser(), currency("BRL")
    await shop.brands_itself(support_email="1@2.3", support_phone="1")
    kinds = tuple(Question(kind, "1", Kind(kind), ("1",), required=True) for kind in Kind)
    await shop.links(amount=None, least=parse("1", brl), most=parse("9", brl), title="1", questions=kinds, slug="all")
    pages["open link"] = (await page.opens("/pay/all")).page.text
    for wrong in ("", "x", "0.01", "99", "1" * 50):
        fields = dict.fromkeys(("name", "email", "address"), "1" * 600) | {f"field_{kind}": wrong for kind in Kind}
        pages[f"wrong {wrong[:4]}"] = (await page.presses("pay", **fields | {"amount": wrong})).text
    await shop.links(title="1", description="1", require_address=True, slug="fixed")
    pages["fixed link"] = (await page.opens("/pay/fixed")).page.text
    pages["stale link"] = (await page.presses("pay", form_digest="x")).text
    for slug, terms in {"off": {"active": False}, "late": {"expires_at": 1}, "one": {"max_uses": 1}}.items():
        await shop.links(title="1", slug=slug, **terms)
        pages[slug] = (await page.opens(f"/pay/{slug}")).page.text
    await page.presses("pay", name="1", email="1@2.3")
    pages["taken link"] = (await page.opens("/pay/one")).page.text
    await page.opens("/pay/fixed")
    pages["of a link"] = (await page.presses("pay", name="1", email="1@2.3", address="1")).text

    many = {"notes": "1", "number": "1", "due_on": date(2026, 3, 7), "discount": parse("1", brl)}
    item = Item("1", 150, parse("180.00", brl))
    for send in (False, True):
        invoice = await shop.bills(
            send=send, **many | {"number": str(int(send)), "items": (item,)}, billed="1", email="1@2.3"
        )
        pages[f"invoice {send}"] = (await page.opens(f"/invoice/{invoice.token}?stale=1")).page.text
    pages["of an invoice"] = (await page.presses("Pay")).text
    shop.clock.advance(24 * HOUR)
    pages["overdue"] = (await page.opens(f"/invoice/{invoice.token}")).page.text


async def read_ways_by_hand(shop: Shop, pages: dict[str, str]) -> None:
    """Read what is paid by hand: the steps, every fault, and the wait."""
    settings = {
        "account_number": "1",
        "account_holder": "1",
        "qr_text": "1",
        "steps": ["1"],
        "proof_upload": "required",
    }
    owner, now = shop.merchant.owner, shop.clock.now()
    asked = {"fields": [{"key": "k", "label": "1", "required": True}]}
    await shop.db.write(
        lambda tx: gateways.save_manual(tx, "wallet", name="1", settings=settings | asked, owner=owner, now=now)
    )
    page = await shop.browser().opens(f"/checkout/{(await shop.orders()).token}")
    pages["by hand"] = (await page.presses("wallet")).text
    pages["by hand, wrong"] = (await page.presses("I have sent")).text
    await shop.db.write(lambda tx: gateways.save_manual(tx, "wallet", name="1", settings={}, owner=owner, now=now))
    await page.opens(str(page.page.url).removesuffix("/submission"))
    pages["by hand, sent"] = (await page.presses("I have sent", provider_trx_id="12345")).text
    await page.opens(f"/checkout/{(await shop.orders()).token}")
    await page.presses("wallet")
    pages["by hand, counted"] = (await page.presses("I have sent", provider_trx_id="12345")).text
