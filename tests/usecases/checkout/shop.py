"""A shop with a checkout, the bank behind its PIX, and a browser without scripts."""

import re
from dataclasses import dataclass, replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from opentill.admin.handlers import create_admin_app
from opentill.checkout.handlers import create_checkout_app
from opentill.checkout.invoice_page import create_invoice_app
from opentill.checkout.link_page import create_pay_app
from opentill.db import Database, Tx
from opentill.gateways.sandbox import SandboxGateway
from opentill.kernel.errors import Refused
from opentill.kernel.mode import Mode
from opentill.kernel.money import currency, parse
from opentill.merchants import brands, gateways
from opentill.merchants.model import Merchant
from opentill.outbound import Outbound
from opentill.payments import flow, queries, service
from opentill.payments.invoices import service as invoices
from opentill.payments.invoices.model import Invoice, Item
from opentill.payments.invoices.model import Terms as Bill
from opentill.payments.links import service as links
from opentill.payments.links.model import Link, Terms
from opentill.payments.model import Contact, Order, Payment, Session
from opentill.payments.pix import flow as pix_flow
from opentill.pix import service as pix
from opentill.pix.keys import Key, KeyType
from opentill.pix.port import ChargeState, ProviderCharge, ProviderReceipt, ReceiptPayer
from opentill.pix.providers.no_payouts import NoPayouts
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from tests.contract.api.bank import MemoryBank
from tests.make import Scene

PUBLIC_URL = "https://pay.example.com"


class PayingBank(MemoryBank):
    """A bank whose charges can be paid and removed, and where accounts are opened."""

    def open_account(self, *, client_id: str, client_secret: str, document: str, name: str, **_: Any) -> None:
        """Open an account; this bank serves everybody."""

    async def pay(self, txid: str, *, amount_centavos: int | None = None, count: int = 1) -> list[str]:
        """Pay a charge as a payer would at their own bank, with another amount if asked."""
        charge = self.charges[txid]
        if charge.state is not ChargeState.ACTIVE:
            raise Refused("invalid_state", "The charge cannot be paid.")
        receipt = ProviderReceipt(
            e2e_id="E99999002202603071530" + txid[-11:],
            txid=txid,
            amount_centavos=amount_centavos or charge.amount_centavos,
            key=charge.key,
            settled_at=self.clock.now(),
            payer=ReceiptPayer(name="Ana Teste"),
            message=None,
        )
        self.charges[txid] = replace(charge, state=ChargeState.PAID, receipts=(receipt,))
        return [receipt.e2e_id]

    async def cancel_charge(self, txid: str) -> ProviderCharge:
        charge = self.charges[txid]
        if charge.state is ChargeState.ACTIVE:
            self.charges[txid] = replace(charge, state=ChargeState.CANCELLED)
        return self.charges[txid]


class Shop:
    """One merchant, its payments, and sentences a test can say."""

    def __init__(self, database: Database, scene: Scene, merchant: Merchant, settings: Settings) -> None:
        self.db, self.scene, self.clock, self.merchant = database, scene, scene.clock, merchant
        self.bank = PayingBank(scene.clock)
        self.deps = Dependencies(
            settings=settings,
            db=database,
            clock=scene.clock,
            ids=scene.ids,
            keyring=scene.keyring,
            outbound=Outbound(),
            gateways={"sandbox": SandboxGateway()},
            receiver=lambda _account: self.bank,
            payer=lambda _account: NoPayouts(),
            sandbox_bank=self.bank,
        )
        self.app = Starlette(
            routes=[
                Mount("/checkout", create_checkout_app(self.deps)),
                Mount("/pay", create_pay_app(self.deps)),
                Mount("/invoice", create_invoice_app(self.deps)),
                Mount("/", create_admin_app(self.deps)),
            ]
        )

    async def orders(self, amount: str = "99.90", code: str = "BRL", **more: Any) -> Payment:
        order = Order(parse(amount, currency(code)), **more)
        created = await self.db.write(
            lambda tx: service.create(
                tx,
                order,
                merchant=self.merchant,
                ids=self.scene.ids,
                keyring=self.scene.keyring,
                now=self.clock.now(),
            )
        )
        return await self.reads(created)

    async def links(self, **terms: Any) -> Link:
        """Make a payment link over R$24.90, or what *terms* say."""
        brl = currency("BRL")
        said = Terms(**{"title": "Earl Grey", "currency": brl, "amount": parse("24.90", brl), "slug": "tea"} | terms)
        return await self.db.write(
            lambda tx: links.create(tx, said, owner=self.merchant.owner, ids=self.scene.ids, now=self.clock.now())
        )

    async def bills(
        self, *, send: bool = True, billed: str = "Ana Lima", email: str = "ana@example.com", **terms: Any
    ) -> Invoice:
        """Make an invoice over R$280.00, or what *terms* say, and send it."""
        brl = currency("BRL")
        item = Item("Consulting, hours", 150, parse("180.00", brl))
        nothing, tax = parse("0", brl), parse("10", brl)
        said = Bill(**{"currency": brl, "items": (item,), "tax": tax, "discount": nothing} | terms)
        ids, keyring, now = self.scene.ids, self.scene.keyring, self.clock.now()

        def make(tx: Tx) -> Invoice:
            who = Contact(billed, email)
            made = invoices.create(tx, said, who, merchant=self.merchant, ids=ids, keyring=keyring, now=now)
            return invoices.send(tx, made, now=now) if send else made

        return await self.db.write(make)

    async def brands_itself(self, *, logo: bytes | None = None, **brand: Any) -> None:
        owner = self.merchant.owner

        def save(tx: Tx) -> None:
            brands.set_brand(tx, replace(brands.brand_of(tx, owner), **brand), owner=owner)
            if logo is not None:
                brands.set_logo(tx, logo, owner=owner, now=self.clock.now())

        await self.db.write(save)

    async def reads(self, payment: Payment) -> Payment:
        found = await self.db.read(lambda tx: queries.by_token(tx, payment.token, keyring=self.scene.keyring))
        assert found is not None
        return found

    async def session(self, payment: Payment) -> Session:
        found = await self.db.read(lambda tx: queries.last_session(tx, payment))
        assert found is not None
        return found

    async def looks_at_the_bank(self, payment: Payment) -> None:
        """Do what the loop does when the bank has said that something happened."""
        await pix_flow.look_at_payment(self.deps.tools, payment)

    async def asks_the_gateways(self) -> None:
        await flow.check_due_sessions(self.deps.tools)

    def browser(self, **headers: str) -> "Browser":
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return Browser(httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers))


async def open_shop(
    database: Database, folder: Path, *, mode: Mode = Mode.SANDBOX, public_url: str = PUBLIC_URL, **settings: Any
) -> Shop:
    """Return a shop that takes PIX and the sandbox."""
    scene = Scene()

    def build(tx: Tx) -> Merchant:
        merchant = scene.merchant(tx, "Padaria São João", mode=mode)
        owner, now = merchant.owner, scene.clock.now()
        gateways.switch_on(tx, "pix", name="PIX", owner=owner, position=0, now=now)
        gateways.switch_on(tx, "sandbox", name="Sandbox", owner=owner, position=1, now=now)
        pix.attach_account(
            tx,
            owner=owner,
            merchant_uuid=merchant.uuid,
            profile="sandbox",
            bank_name="Banco Exemplo",
            bank_ispb="99999001",
            credentials={},
            keys=[Key(KeyType.EVP, "123e4567-e12b-12d1-a456-426655440000")],
            ids=scene.ids,
            keyring=scene.keyring,
            now=now,
        )
        return merchant

    merchant = await database.write(build)
    return Shop(database, scene, merchant, Settings(data=folder, public_url=public_url, **settings).completed())


@dataclass
class Form:
    """A form of a page: where it goes, its hidden fields, and its buttons as (name, value, label)."""

    action: str
    fields: dict[str, str]
    buttons: list[tuple[str, str, str]]


class Browser:
    """Reads pages and sends their forms, as a browser without scripts does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.page: httpx.Response

    async def opens(self, path: str) -> "Browser":
        self.page = await self.client.get(path, follow_redirects=True)
        return self

    async def presses(self, value: str, *, follow: bool = True, **changes: str) -> httpx.Response:
        """Press the button with this value, or this text in its label; *changes* are what a forger would change."""
        for form in self.forms:
            for name, own, label in form.buttons:
                if value in (own, label) or value in label:
                    fields = form.fields | ({name: own} if name else {}) | changes
                    return await self.sends(form.action, fields, follow=follow)
        raise AssertionError(f"no button {value!r} in {[form.buttons for form in self.forms]}")

    async def sends(self, action: str, fields: dict[str, str], *, follow: bool = True) -> httpx.Response:
        answer = await self.client.post(action, data=fields)
        if follow and answer.is_redirect and answer.headers["location"].startswith("/"):
            answer = await self.client.get(answer.headers["location"], follow_redirects=True)
        self.page = answer
        return answer

    @property
    def forms(self) -> list[Form]:
        reader = FormReader()
        reader.feed(self.page.text)
        return reader.forms

    @property
    def heading(self) -> str:
        return plain(re.search(r"<h1[^>]*>(.*?)</h1>", self.page.text, re.S)[1])  # type: ignore[index]

    @property
    def text(self) -> str:
        body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", self.page.text, flags=re.S)
        return plain(body)

    def links(self, text: str) -> list[str]:
        found = re.findall(r'<a\b[^>]*?href="([^"]*)"[^>]*>(.*?)</a>', self.page.text, re.S)
        return [unescape(href) for href, label in found if text in plain(label)]


class FormReader(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._button: tuple[str, str] | None = None
        self._label = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given["action"], {}, []))
        elif tag == "input" and self.forms:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag in ("textarea", "select") and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self._button, self._label = (given.get("name", ""), given.get("value", "")), ""

    def handle_data(self, data: str) -> None:
        self._label += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._button and self.forms:
            self.forms[-1].buttons.append((*self._button, " ".join(self._label.split())))
            self._button = None


def plain(html: str) -> str:
    """Return the text a reader sees."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
