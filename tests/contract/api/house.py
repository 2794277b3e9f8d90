"""Two merchants behind both APIs, on a real database, with a bank in memory."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opentill.api.external.app import ExternalApi
from opentill.api.merchant.app import MerchantApi
from opentill.db import Database, Tx
from opentill.gateways.sandbox import SandboxGateway
from opentill.kernel.secret import Secret
from opentill.merchants import gateways
from opentill.merchants.model import Merchant
from opentill.outbound import Outbound
from opentill.pix import service as pix
from opentill.pix.keys import Key, KeyType
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from opentill.webhooks import partitions
from tests.contract.api.bank import MemoryBank
from tests.contract.api.client import Response, ask
from tests.fakes.payout_bank import PayoutBank
from tests.make import Scene

PUBLIC_URL = "https://pay.example.com"
TABLES = ("payment", "customer", "event", "journal", "posting", "idempotency", "pix_charge", "webhook_endpoint")
PAYMENT = {"amount": "99.90", "currency": "BRL", "reference": "ORD-1"}
INTENT = {
    "gateway": "sandbox",
    "amount": 99.99,
    "currency": "USD",
    "order_id": "ORD-1001",
    "customer_name": "Jane Smith",
    "customer_email": "jane@example.com",
    "return_url": "https://shop.example/return",
}
CASH_IN = {"amount": 3000, "external_id": "order-9876"}
HOOK = {"url": "https://yoursite.com/webhook", "events": ["pix.charge.paid", "pix.payout.confirmed"]}


@dataclass
class Shop:
    """A merchant and what it signs in with."""

    merchant: Merchant
    key: str
    client_id: str
    client_secret: str


class House:
    """The APIs and sentences a test can say to them."""

    def __init__(self, database: Database, scene: Scene, settings: Settings) -> None:
        self.db, self.scene, self.clock = database, scene, scene.clock
        self.bank = MemoryBank(scene.clock)
        self.payout_bank = PayoutBank(scene)
        self.dependencies = Dependencies(
            settings=settings,
            db=database,
            clock=scene.clock,
            ids=scene.ids,
            keyring=scene.keyring,
            outbound=Outbound(),
            gateways={"sandbox": SandboxGateway()},
            receiver=lambda _account: self.bank,
            payer=lambda _account: self.payout_bank,
            sandbox_bank=self.bank,
        )
        self.merchant_api = MerchantApi(self.dependencies)
        self.external_api = ExternalApi(self.dependencies)
        self.shop: Shop
        self.other: Shop

    async def merchant(
        self,
        method: str,
        target: str,
        fields: object = None,
        *,
        key: str | None = "",
        body: bytes | list[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        peer: str = "203.0.113.9",
    ) -> Response:
        """Call the merchant API, with the shop's key unless another or None is given."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("authorization", f"Bearer {key or self.shop.key}")
        if body is None:
            body = b"" if fields is None else json.dumps(fields).encode()
        return await ask(self.merchant_api, method, target, headers=sent, body=body, peer=peer)

    async def pix(
        self,
        method: str,
        target: str,
        fields: object = None,
        *,
        shop: Shop | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        peer: str = "203.0.113.9",
    ) -> Response:
        """Call the PIX API as the shop, signing the body as the seed page does. A header of None is left out."""
        who = shop or self.shop
        if body is None:
            body = b"" if fields is None else json.dumps(fields).encode()
        sent: dict[str, str | None] = {"authorization": f"ApiKey {who.client_id}:{who.client_secret}"}
        if body:
            sent["content-type"] = "application/json"
        if method in ("POST", "PATCH"):
            sent["hmac"] = signature(who.client_secret, body)
        sent |= headers or {}
        present = {name: value for name, value in sent.items() if value is not None}
        return await ask(self.external_api, method, target, headers=present, body=body, peer=peer)

    async def rows(self) -> dict[str, int]:
        """Count the rows of every table a refused request must leave alone."""
        counted = await self.db.read(lambda tx: [tx.all(f"select count(*) as n from {name}") for name in TABLES])
        return {name: rows[0]["n"] for name, rows in zip(TABLES, counted, strict=True)}

    async def run(self, sql: str, **params: Any) -> None:
        await self.db.write(lambda tx: tx.run(sql, **params))

    async def credential(self, shop: Shop, *permissions: str) -> Shop:
        """Return the shop as another credential of it, with these permissions."""
        made = await self.db.write(lambda tx: self.scene.credential(tx, shop.merchant, permissions))
        return replace(shop, client_id=made[0], client_secret=made[1].reveal())

    async def keeps_attempts(self) -> None:
        """Have a place for attempts of this house's day: on PostgreSQL each day has a table of its own."""
        await self.db.write(lambda tx: partitions.keep_ahead(tx, now=self.clock.now()))

    async def close(self) -> None:
        """Wait for what goes on in the background, and close what was opened."""
        await self.merchant_api.settled()
        await self.external_api.settled()
        await self.dependencies.outbound.close()

    async def behind(self, proxies: str) -> "House":
        """Return the same shops behind proxies whose word about callers is trusted."""
        settings = replace(self.dependencies.settings, trusted_proxies=proxies)
        house = House(self.db, self.scene, settings)
        house.shop, house.other = self.shop, self.other
        return house

    def next_second(self) -> None:
        """Let keys that are remembered be looked up again."""
        self.clock.advance(1_000_000)


def signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()


async def open_house(database: Database, data: Path, **settings: Any) -> House:
    """Return a house with two shops that know nothing of each other."""
    scene = Scene()
    house = House(database, scene, Settings(data=data, public_url=PUBLIC_URL, **settings).completed())
    house.shop = await open_shop(house, "Loja Azul", "123e4567-e12b-12d1-a456-426655440000")
    house.other = await open_shop(house, "Loja Verde", "123e4567-e12b-12d1-a456-426655440001")
    return house


async def open_shop(house: House, name: str, pix_key: str) -> Shop:
    scene = house.scene

    def build(tx: Tx) -> tuple[Merchant, Secret, tuple[str, Secret]]:
        merchant = scene.merchant(tx, name)
        owner, now = merchant.owner, scene.clock.now()
        gateways.switch_on(tx, "sandbox", name="Sandbox", owner=owner, position=0, now=now)
        pix.attach_account(
            tx,
            owner=owner,
            merchant_uuid=merchant.uuid,
            profile="sandbox",
            bank_name="Banco Exemplo",
            bank_ispb="99999001",
            bank_document="11222333000181",
            credentials={},
            keys=[Key(KeyType.EVP, pix_key)],
            ids=scene.ids,
            keyring=scene.keyring,
            now=now,
        )
        return merchant, scene.api_key(tx, merchant), scene.credential(tx, merchant)

    merchant, key, (client_id, secret) = await house.db.write(build)
    return Shop(merchant, key.reveal(), client_id, secret.reveal())
