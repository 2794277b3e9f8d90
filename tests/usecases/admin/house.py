"""A panel with people in it: an owner who is signed in, merchants, and something to look at on every screen."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentill.admin import screens
from opentill.admin.panel import Screen
from opentill.db import Database, Tx
from opentill.kernel.money import Money, currency
from opentill.kernel.secret import Secret
from opentill.merchants import request_log
from opentill.merchants import service as merchants
from opentill.merchants.model import Merchant
from opentill.operators import people, sign_in
from opentill.operators.sign_in import Caller
from opentill.payments import flow
from opentill.payments.exports import service as exports
from opentill.payments.exports.model import Wanted
from opentill.payments.model import Contact, Payment
from opentill.payments.review import proofs
from opentill.pix.keys import detect
from opentill.pix.payouts import service as payouts
from opentill.pix.payouts.model import Order
from opentill.pix.policy import Policy, set_policy
from opentill.pix.port import ToKey
from opentill.webhooks import service as webhooks
from opentill.webhooks.model import BOUNDS, Dialect, Options
from opentill.workers.exports import write_page
from tests.usecases.checkout.shop import Browser, Shop, open_shop
from tests.usecases.operators.people import add

COOKIE = "opentill_session"
MED = "MED20260307001"
E2E = "E9999900220260307153000000000001"
NOBODY = "00000000-0000-7000-8000-000000000000"


@dataclass
class House:
    """One installation with everything in it once."""

    shop: Shop
    names: dict[str, str]  # what stands in the braces of a path

    @property
    def home(self) -> str:
        return f"/admin/m/{self.shop.merchant.slug}"

    async def browser(self, email: str = "ana@loja.example", **headers: str) -> Browser:
        """Return the browser of an operator who is signed in."""
        scene = self.shop.scene
        operator = next(one for one, _ in await self.shop.db.read(people.everybody) if one.email == email)
        opened = await self.shop.db.write(
            lambda tx: sign_in.open_first(
                tx,
                operator,
                Caller("203.0.113.9", "Firefox"),
                ids=scene.ids,
                keyring=scene.keyring,
                now=scene.clock.now(),
            )
        )
        browser = self.shop.browser(**headers)
        browser.client.cookies.set(COOKIE, opened.token.reveal(), path="/admin")
        return browser

    async def joins(self, email: str, role: str, merchant: Merchant | None = None) -> None:
        """Add an operator with a role, at one merchant or at all."""

        def joined(tx: Tx) -> None:
            operator = add(tx, self.shop.scene, email, role)
            if merchant is not None:
                people.take_role(tx, operator.id, merchant_id=None)
                people.set_role(tx, operator.id, role, merchant_id=merchant.id, now=self.shop.clock.now())

        await self.shop.db.write(joined)

    def place(self, screen: Screen) -> str:
        """Return the address of a screen, with something that exists in each brace."""
        return "/admin" + re.sub(r"\{(\w+)\}", lambda brace: self.names[brace[1]], screen.path)


async def open_house(database: Database, folder: Path, **settings: Any) -> House:
    """Return a shop with a paid payment, an endpoint, keys, and Ana, who owns it."""
    shop = await open_shop(database, folder, **settings)
    scene = shop.scene

    def fill(tx: Tx) -> tuple[str, str, str]:
        add(tx, scene)
        merchants.create_api_key(tx, owner=shop.merchant.owner, ids=scene.ids, now=scene.clock.now(), name="Shop")
        client_id, _ = merchants.create_credential(
            tx, owner=shop.merchant.owner, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now()
        )
        endpoint, _ = webhooks.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=shop.merchant.owner,
            dialect=Dialect.MERCHANT,
            url="https://shop.example/hooks",
            options=Options(),
            ids=scene.ids,
            keyring=scene.keyring,
            now=scene.clock.now(),
        )
        key_id = tx.all("select id from api_key")[0]["id"]
        return str(key_id), client_id, endpoint.public_id

    key_id, client_id, endpoint = await database.write(fill)
    delivery = await database.write(lambda tx: given_up(tx, shop))
    payment = await pays(shop)
    odd = await shop.orders("20.00", order_id="short", contact=Contact("Bia", "bia@example.com"))
    await flow.choose_gateway(shop.deps.tools, odd.token, "sandbox")
    await flow.submit(shop.deps.tools, odd.token, {"outcome": "short"})
    payout, request = await database.write(lambda tx: (waiting_payout(tx, shop), asked(tx, shop)))
    proof = await database.write(lambda tx: proven(tx, shop, payment))
    export = await database.write(lambda tx: exported(tx, shop))
    await write_page(shop.deps)
    contested = await pays(shop, order_id="contested")
    await database.write(lambda tx: contest(tx, contested))
    [customer] = await database.read(lambda tx: tx.all("select uuid from customer"))
    [event] = await database.read(lambda tx: tx.all("select id from event order by seq limit 1"))
    names = {
        "merchant": shop.merchant.slug,
        "payment": payment.reference,
        "account": "1",
        "journal": "1",
        "key": key_id,
        "credential": client_id,
        "endpoint": endpoint,
        "event": event["id"],
        "delivery": delivery,
        "customer": customer["uuid"],
        "item": "1",
        "receipt": "2",
        "link": "none",
        "invoice": NOBODY,
        "dispute": NOBODY,
        "operator": "1",
        "gateway": "sandbox",
        "rule": "1",
        "host": "pay.shop.example",
        "payout": payout,
        "decision": "approve",
        "infraction": MED,
        "request": request,
        "replay": "none",
        "session": "0" * 16,
        "export": export,
        "proof": proof,
        "e2e": E2E,
        "action": "x",
        "jti": "0" * 24,
    }
    return House(shop, names)


def exported(tx: Tx, shop: Shop) -> str:
    """Have all payments exported; return the export's id."""
    deps = shop.deps
    made = exports.start(
        tx, "payments", Wanted(), owner=shop.merchant.owner, by="operator:1", ids=deps.ids, now=shop.clock.now()
    )
    return made.id


def proven(tx: Tx, shop: Shop, payment: Payment) -> str:
    """Let a payment have been submitted with a proof, and approved; return the proof's number."""
    keyring, now = shop.scene.keyring, shop.clock.now()
    [row] = tx.all(
        """
        insert into submission (merchant_id, mode, payment_id, session_id, gateway, sealed, state, created_at,
                                decided_at)
        select merchant_id, mode, payment_id, id, gateway, :sealed, 'approved', :now, :now
          from gateway_session where payment_id = :payment_id
        returning id
        """,
        payment_id=payment.id,
        sealed=keyring.seal(b"{}", f"submission.sealed/{payment.id}"),
        now=now,
    )
    proofs.keep(tx, proofs.accept("receipt.pdf", b"%PDF-1.7"), row["id"], owner=payment.owner, keyring=keyring, now=now)
    return str(tx.all("select max(id) as id from proof")[0]["id"])


def given_up(tx: Tx, shop: Shop) -> str:
    """Make a delivery that was given up; return its id."""
    [endpoint] = webhooks.of_surface(tx, shop.merchant.owner, Dialect.MERCHANT)
    job = webhooks.claim_test(tx, endpoint=endpoint, worker="test", ids=shop.scene.ids, now=shop.clock.now())
    tx.run("update webhook_delivery set state = 3, lease_owner = null, lease_until = null")
    return job.claimed.public_id


def waiting_payout(tx: Tx, shop: Shop) -> str:
    """Make a payout that waits for a second person; return its id."""
    owner, scene = shop.merchant.owner, shop.scene
    set_policy(tx, Policy(approve_from_units=100), owner=owner)
    key = detect("ana@example.com")
    order = Order(Money(10_000, currency("BRL")), ToKey(key.value, key.type), key.value)
    now = shop.clock.now()
    return payouts.accept(tx, order, owner=owner, by="cli_shop", own_e2e=True, ids=scene.ids, now=now).id


def contest(tx: Tx, payment: Payment) -> None:
    """Let a payment be paid again over PIX, and the payer contest that."""
    tx.run(
        """
        insert into receipt (merchant_id, mode, gateway, account, ref, public_id, payment_id, units, currency, origin,
                             state, received_at, created_at)
        select p.merchant_id, p.mode, 'pix', cast(a.id as text), :ref, 'contested', p.id, p.units, p.currency,
               'repeat', 'booked', p.created_at, p.created_at
          from payment p join pix_account a on a.merchant_id = p.merchant_id and a.mode = p.mode
         where p.id = :payment_id
        """,
        ref=E2E,
        payment_id=payment.id,
    )
    tx.run(
        """
        insert into pix_infraction (id, merchant_id, mode, account_id, receipt_id, ref, state, kind, units, block_id,
                                    opened_at, defense_until_at, watched_until_at, created_at)
        select :id, merchant_id, mode, cast(account as bigint), id, 'ref-1', 'open', 'REFUND_REQUEST', units, 'block-1',
               created_at, created_at + 86400000000, created_at + 86400000000, created_at
          from receipt where ref = :ref
        """,
        id=MED,
        ref=E2E,
    )


def asked(tx: Tx, shop: Shop) -> str:
    """Log a request of the shop's key; return its number."""
    line = {
        **shop.merchant.owner.columns,
        "surface": "merchant",
        "caller_id": 1,
        "request_id": "req-1",
        "method": "POST",
        "path": "/payments",
        "query": "",
        "operation": "/payments",
        "status": 422,
        "code": "VALIDATION_FAILED",
        "duration_us": 8_000,
        "ip": "203.0.113.9",
        "agent": "curl/8",
        "idempotency_key": "order-1",
        "replayed": 0,
        "created_at": shop.clock.now(),
    }
    request_log.store(tx, [line])
    return str(tx.all("select max(id) as id from api_request")[0]["id"])


async def pays(shop: Shop, **more: Any) -> Payment:
    """Make a payment and pay it with the sandbox."""
    payment = await shop.orders(**{"order_id": "A-1"} | more)
    tools = shop.deps.tools
    await flow.choose_gateway(tools, payment.token, "sandbox")
    return await flow.submit(tools, payment.token, {"outcome": "paid"})


READS = [screen for screen in screens.ALL if screen.method == "GET"]
WRITES = [screen for screen in screens.ALL if screen.method == "POST"]
PASSWORD = Secret("quatro cavalos pastam")
