"""A small market: shops, payers, a bank and a card gateway that deal with each other at random, from one seed.

Everything is the product's own but the payers, and the sandbox bank and gateway, which hold their own truth of what
was paid. Every random choice is made before the first wait, so that one seed is one list of operations:

    async with Market(database, folder, seed=7) as market:
        await market.deal(500)
"""

import asyncio
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Self, TypeVar

from opentill.api.external.app import ExternalApi
from opentill.api.merchant.app import MerchantApi
from opentill.callbacks.pix import PixCallbacks
from opentill.db import Database
from opentill.gateways import rounds
from opentill.gateways.rounds import Lanes, Work
from opentill.gateways.sandbox import Outcome
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND
from opentill.kernel.errors import Refused
from opentill.kernel.ids import SeededIds
from opentill.kernel.money import currency as currency_of
from opentill.kernel.money import from_minor, render
from opentill.kernel.secret import Secret
from opentill.outbound import Outbound
from opentill.payments import flow
from opentill.payments.model import Payment
from opentill.payments.pix import flow as pix_flow
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.tools import Tools
from opentill.pix.banks import Banks
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import Charge
from opentill.pix.providers.in_process import InProcess
from opentill.sandbox_psp import SandboxBank
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from tests.contract.api.client import Response, ask
from tests.make import Scene
from tests.property.shops import PUBLIC_URL, Shop, Terminal, open_shop, set_fees

BANK_URL: Final = "https://pix.sandbox.opentill.test"
SIM_TOKEN: Final = Secret("sim-token")
CURRENCIES: Final = ("BRL", "BRL", "BRL", "USD", "JPY", "KWD", "CLF")
BUTTONS: Final = ("pay", "pay", "pay", *(outcome.value for outcome in Outcome))
MAGIC: Final = (10001, 10002, 10003, 10004, 10005, 10006, 10016)  # centavos; pix-api.md §19.2
T = TypeVar("T")

REMEMBERED: Final = 30  # payments, charges and requests that may still be dealt with

# What goes wrong at the bank without anybody having to wait for it.
FAULTS: Final = (
    ("charge.create", "http_400"),
    ("charge.create", "duplicate"),
    ("charge.create", "wrong_amount"),
    ("charge.read", "http_503"),
    ("charge.read", "html_200"),
    ("charge.cancel", "http_503"),
    ("charge.cancel", "timeout_after"),
    ("receipt.read", "http_500"),
    ("receipt.read", "truncated"),
    ("receipt.notify", "drop"),
    ("receipt.notify", "duplicate"),
    ("receipt.notify", "wrong_amount"),
    ("sweep.read", "http_503"),
    ("sweep.read", "truncated"),
)
DOUBTS: Final = (("charge.create", "timeout_after"), ("charge.create", "timeout_before"), ("token", "http_503"))

# How long the market pauses, and how often so.
WAITS: Final = {
    SECOND // 50: 60,
    SECOND: 60,
    6 * SECOND: 50,
    MINUTE + 1: 25,
    4 * MINUTE: 12,
    31 * MINUTE: 4,
    2 * HOUR: 2,
    DAY + HOUR: 1,
}


@dataclass(frozen=True)
class Request:
    """A request that can be sent again."""

    shop: Shop
    path: str
    fields: dict[str, Any]
    key: str | None


@dataclass(frozen=True)
class Deed:
    """One operation and what it came to."""

    name: str
    result: Any


class Market:
    """The shops, their payers, and what was done so far."""

    def __init__(self, database: Database, folder: Path, *, seed: int) -> None:
        self.db = database
        self.scene = Scene(seed)
        self.clock = self.scene.clock
        self.chance = Random(seed)
        self.terminal = Terminal()
        self.bank_file = folder / "bank.db"
        self._bank = SandboxBank(
            self.bank_file,
            clock=self.clock,
            ids=SeededIds(seed + 1, self.clock),
            sim_token=SIM_TOKEN,
            break_after_s=0.0,
        )
        self._to_bank = InProcess(self._bank)
        banks = Banks(self._bank, keyring=self.scene.keyring, clock=self.clock, ids=self.scene.ids)
        self.dependencies = Dependencies(
            settings=Settings(data=folder, public_url=PUBLIC_URL).completed(),
            db=database,
            clock=self.clock,
            ids=self.scene.ids,
            keyring=self.scene.keyring,
            outbound=Outbound(),
            gateways={"sandbox": self.terminal},
            receiver=banks.receiver,
            payer=banks.payer,
            sandbox_bank=self._bank,
        )
        self.tools = self.dependencies.tools
        self._merchant_api = MerchantApi(self.dependencies)
        self._external_api = ExternalApi(self.dependencies)
        self._callbacks = PixCallbacks(self.dependencies)
        self._one_by_one = asyncio.Lock()
        self.shops: list[Shop] = []
        self.tokens: list[str] = []
        self.references: list[tuple[Shop, str]] = []
        self.charges: list[str] = []
        self.requests: list[Request] = []
        self.notices: list[tuple[str, bytes]] = []
        self.deeds: list[Deed] = []

    async def __aenter__(self) -> Self:
        for number, name in enumerate(("Loja Azul", "Loja Verde", "Loja Roxa")):
            self.shops.append(await open_shop(self.dependencies, self._bank, self.scene, name, number))
        await self.db.write(lambda tx: set_fees(tx, self.shops, now=self.clock.now()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._merchant_api.settled()
        await self._external_api.settled()
        await self.dependencies.outbound.close()
        self._bank.close()

    # Dealing.

    async def deal(self, count: int, *, at_once_max: int = 1) -> None:
        """Do *count* operations, up to *at_once_max* of them at the same time."""
        left = count
        while left:
            together = min(left, self.chance.randint(1, at_once_max))
            drawn = [self._draw() for _ in range(together)]
            results = await asyncio.gather(*(_result(work) for _, work in drawn))
            self.deeds += [Deed(name, result) for (name, _), result in zip(drawn, results, strict=True)]
            left -= together

    async def settle(self) -> None:
        """Let everything that is under way come to its end: time passes, and every loop has its turn."""
        await self._sim("DELETE", "faults")
        for wait in (*[SECOND] * 5, *[MINUTE] * 5, *[20 * MINUTE] * 9, *[DAY] * 3, *[MINUTE] * 5):
            self.clock.advance(wait)
            await self._bank.tick(self._tell)
            for job in LOOPS:
                while await job(self.tools) >= flow.BATCH:
                    pass
        await self._merchant_api.settled()

    def _draw(self) -> tuple[str, Awaitable[Any]]:
        operation = self.chance.choices(OPERATIONS, WEIGHTS)[0]
        return operation.__name__, operation(self)

    def order(self) -> Awaitable[Any]:
        """Create a payment as the official clients do."""
        code, amount = self._amount()
        wish = self.chance.choice((None, "sandbox", "pix"))
        fields = {"amount": amount, "currency": code, "reference": f"ORD-{self.chance.randrange(500)}"}
        fields |= {"gateway": wish} if wish else {}
        return self._ordered("/payments", fields | self._extras())

    def order_through_a_gateway(self) -> Awaitable[Any]:
        """Create a payment as the seed page does."""
        code, amount = self._amount()
        fields = {
            "gateway": self.chance.choice(("sandbox", "sandbox", "pix", "nowhere")),
            "amount": amount,
            "currency": code,
            "order_id": f"ORD-{self.chance.randrange(500)}",
            "customer_name": "Ana Lima",
            "customer_email": f"ana{self.chance.randrange(40)}@example.com",
            "return_url": "https://shop.example/return",
        }
        return self._ordered("/payment-intents", fields | self._extras())

    def charge(self) -> Awaitable[Any]:
        """Make a PIX charge."""
        centavos = self.chance.choice(MAGIC) if self.chance.random() < 0.15 else self._minor()
        fields: dict[str, Any] = {"amount": centavos, "external_id": f"order-{self.chance.randrange(500)}"}
        fields |= self.chance.choice(({}, {"expires_in": 300}, {"expires_in": 3_600}))
        fields |= {"pix_key": "nobody@example.com"} if self.chance.random() < 0.03 else {}
        return self._sent(self._request("/pix/cash-in", fields))

    def ask_again(self) -> Awaitable[Any]:
        """Repeat an earlier request, mostly the same, sometimes another under its key."""
        if not self.requests:
            return self.order()
        before = self._recent(self.requests)
        changed = before.fields | ({"amount": 4_321} if self.chance.random() < 0.1 else {})
        return self._sent(Request(before.shop, before.path, changed, before.key))

    def choose(self) -> Awaitable[Any]:
        if not self.tokens:
            return self.order()
        return self._chosen(self._recent(self.tokens), self.chance.choice(("sandbox", "sandbox", "pix")))

    def press(self) -> Awaitable[Any]:
        """Press a button of the sandbox gateway's page, the page opened first."""
        if not self.tokens:
            return self.order()
        return self._pressed(self._recent(self.tokens), self.chance.choice(BUTTONS))

    def cancel(self) -> Awaitable[Any]:
        if not self.tokens:
            return self.order()
        return flow.cancel(self.tools, self._recent(self.tokens))

    def cancel_order(self) -> Awaitable[Any]:
        """Cancel a payment as a merchant does."""
        if not self.references:
            return self.order()
        shop, reference = self._recent(self.references)
        return self._sent(Request(shop, f"/payments/{reference}/cancel", {}, self._key()))

    def refund(self) -> Awaitable[Any]:
        """Give money back: all of it, a part, or more than there is."""
        if not self.references:
            return self.order()
        shop, reference = self._recent(self.references)
        amount = self.chance.choice((None, None, "0.01", "1", str(self._minor()), "-1", "0", "999999999"))
        fields: dict[str, Any] = {"transaction_id": reference, "reason": "returned"}
        request = Request(shop, "/refunds", fields | ({"amount": amount} if amount else {}), self._key())
        self.requests.append(request)
        return self._sent(request)

    def pay_code(self) -> Awaitable[Any]:
        """Pay a PIX code: as asked, another amount, twice, or although it is over."""
        if not self.charges:
            return self.charge()
        order: dict[str, Any] = {"txid": provider_txid(self._recent(self.charges))}
        order |= self.chance.choice(
            ({}, {}, {}, {"amount": self._minor(), "any_amount": True, "force": True}, {"count": 2}, {"force": True})
        )
        return self._paid(order | {"notify": self.chance.choice(("now", "now", "twice", "never"))})

    def pay_key(self) -> Awaitable[Any]:
        """Pay to a key without a code: ours or a stray one, with no label, a made-up one, or another shop's."""
        shop, label = self.chance.choice(self.shops), self.chance.choice((None, "PEDIDO42", "charge"))
        order = {"key": self.chance.choice((shop.pix_key, shop.stray_key)), "amount": self._minor()}
        if label == "charge" and self.charges:
            order["label"] = provider_txid(self._recent(self.charges))
        elif label:
            order["label"] = label
        return self._paid(order)

    def ring(self) -> Awaitable[Any]:
        """Have the bank do what is due and tell us."""
        return self._bank.tick(self._tell)

    def ring_again(self) -> Awaitable[Any]:
        """Receive an old notification once more."""
        if not self.notices:
            return self.ring()
        url, body = self.chance.choice(self.notices)
        return self._tell(url, body)

    def wait(self) -> Awaitable[Any]:
        return self._waited(self.chance.choices(list(WAITS), list(WAITS.values()))[0])

    def meet_trouble(self) -> Awaitable[Any]:
        """Have a shop's next call of some kind go wrong at the bank."""
        kinds = DOUBTS if self.chance.random() < 0.04 else FAULTS
        operation, fault = self.chance.choice(kinds)
        shop = self.chance.choice(self.shops)
        asked = {"client_id": shop.bank_client_id, "operation": operation, "fault": fault}
        return self._sim("POST", "faults", asked)

    def look_up(self) -> Awaitable[Any]:
        """Read a payment, or a page of transactions."""
        if not self.references:
            return self.order()
        shop, reference = self._recent(self.references)
        where = (f"/payments/{reference}", f"/transactions/{reference}", "/transactions?per_page=5&status=completed")
        return self._read(shop, self.chance.choice(where))

    # The outside world.

    def truth(self) -> dict[tuple[str, str, str], int]:
        """Return what really was paid, in units, by gateway, provider account and reference."""
        accounts = {shop.bank_client_id: str(shop.account_id) for shop in self.shops}
        with closing(sqlite3.connect(self.bank_file)) as books:
            rows = books.execute(
                """
                select a.client_id, r.e2e_id, r.amount from receipt r join account a on a.id = r.account_id
                """
            ).fetchall()
        at_the_bank = {("pix", accounts[client_id], e2e_id): 100 * amount for client_id, e2e_id, amount in rows}
        return at_the_bank | {("sandbox", "", ref): units for ref, units in self.terminal.paid.items()}

    def returned(self) -> dict[str, int]:
        """Return what really went back, in units, by the refund's UUID."""
        return dict(self.terminal.returned)

    async def _tell(self, url: str, body: bytes) -> int:
        """Carry a notification of the bank to us; one in seven gets lost on its way, the first time."""
        if (url, body) not in self.notices:
            self.notices.append((url, body))
            if hashlib.sha256(body).digest()[0] % 7 == 0:
                return 0
        async with self._one_by_one:  # the bank sends several at once, in an order nobody could repeat
            answer = await ask(self._callbacks, "POST", url.removeprefix(PUBLIC_URL), body=body)
        return answer.status

    async def _sim(self, method: str, hook: str, document: dict[str, Any] | None = None) -> Any:
        body = b"" if document is None else json.dumps(document).encode()
        headers = {"X-Sim-Token": SIM_TOKEN.reveal()}
        answer = await self._to_bank.request(method, f"{BANK_URL}/_sim/{hook}", headers, body, 5)
        return answer.status, json.loads(answer.body) if answer.body else None

    # Choosing.

    def _recent(self, things: Sequence[Any]) -> Any:
        return self.chance.choice(things[-REMEMBERED:])

    def _minor(self) -> int:
        """Return an amount in minor units, of any size, its last two digits as likely as each other."""
        return self.chance.choice((1, 2, 6, 99, 100, *[self.chance.randrange(1, 10 ** self.chance.randint(2, 7))] * 9))

    def _amount(self) -> tuple[str, str]:
        code = self.chance.choice(CURRENCIES)
        return code, render(from_minor(self._minor(), currency_of(code)))

    def _extras(self) -> dict[str, Any]:
        return self.chance.choice(
            (
                {},
                {"metadata": {"cart": self.chance.randrange(99)}},
                {"expires_in": 120},
                {"callback_url": f"https://shop.example/callback/{self.chance.randrange(3)}"},
                {"customer_name": "Bia", "customer_email": f"Bia{self.chance.randrange(20)}@example.com"},
            )
        )

    def _request(self, path: str, fields: dict[str, Any]) -> Request:
        key = self._key()
        request = Request(self.chance.choice(self.shops), path, fields, key)
        self.requests.append(request)
        return request

    def _key(self) -> str | None:
        return f"key-{len(self.requests)}-{self.chance.getrandbits(32):x}" if self.chance.random() < 0.7 else None

    # Acting.

    def _ordered(self, path: str, fields: dict[str, Any]) -> Awaitable[Any]:
        return self._sent(self._request(path, fields))

    async def _sent(self, request: Request) -> Response:
        body = json.dumps(request.fields).encode()
        shop, keyed = request.shop, {"idempotency-key": request.key} if request.key else {}
        if request.path.startswith("/pix"):
            signed = hmac.new(shop.client_secret.encode(), body, hashlib.sha512).hexdigest()
            headers = {"authorization": f"ApiKey {shop.client_id}:{shop.client_secret}", "hmac": signed, **keyed}
            headers["content-type"] = "application/json"
            answer = await ask(self._external_api, "POST", request.path, headers=headers, body=body)
        else:
            headers = {"authorization": f"Bearer {shop.key}", **keyed}
            answer = await ask(self._merchant_api, "POST", request.path, headers=headers, body=body)
        self._remember(shop, answer)
        return answer

    def _remember(self, shop: Shop, answer: Response) -> None:
        if answer.status >= 300:
            return
        made = answer.json()
        if "qr_code" in made:
            self._add(self.charges, made["transaction_id"])
        elif "token" in made["data"]:
            self._add(self.tokens, made["data"]["token"])
            self._add(self.references, (shop, made["data"]["trx_id"]))

    async def _chosen(self, token: str, slug: str) -> Payment:
        payment, _, charge = await flow.choose_gateway(self.tools, token, slug)
        if charge is not None:
            self._add(self.charges, charge.id)
        return payment

    async def _pressed(self, token: str, button: str) -> Payment:
        await flow.choose_gateway(self.tools, token, "sandbox")
        return await flow.submit(self.tools, token, {"outcome": button})

    async def _paid(self, order: dict[str, Any]) -> Any:
        return await self._sim("POST", "pay", order)

    async def _waited(self, microseconds: int) -> int:
        return self.clock.advance(microseconds)

    async def _read(self, shop: Shop, target: str) -> Response:
        return await ask(self._merchant_api, "GET", target, headers={"authorization": f"Bearer {shop.key}"})

    def _add(self, things: list[Any], thing: Any) -> None:
        if thing not in things[-REMEMBERED:]:
            things.append(thing)


def _job(run: Callable[[Any], Awaitable[int]]) -> Callable[[Market], Awaitable[Any]]:
    def operation(market: Market) -> Awaitable[Any]:
        return run(market.tools)

    operation.__name__ = run.__name__
    return operation


class InTurn(Lanes[Any]):
    """One lane for all: banks side by side would draw their ids in an order of chance."""

    async def each(
        self, due: Iterable[T], lane: Callable[[T], Any], work: Work[T], *, put_off: Work[T] | None = None
    ) -> int:
        return await rounds.each(due, work, put_off=put_off)


async def confirm_due_hints(tools: Tools) -> int:
    return await pix_flow.confirm_due_hints(tools, InTurn())


async def look_at_due(tools: Tools) -> int:
    return await pix_flow.look_at_due(tools, InTurn())


async def sweep(tools: Tools) -> int:
    return await pix_flow.sweep(tools, InTurn())


async def check_due_sessions(tools: Tools) -> int:
    return await flow.check_due_sessions(tools, InTurn())


async def expire_due(tools: Tools) -> int:
    return await flow.expire_due(tools, InTurn())


async def check_due_refunds(tools: Tools) -> int:
    return await refund_flow.check_due_refunds(tools, InTurn())


LOOPS: Final = (
    confirm_due_hints,
    check_due_sessions,
    look_at_due,
    expire_due,
    check_due_refunds,
    sweep,
)

WEIGHTED: Final[tuple[tuple[int, Callable[[Market], Awaitable[Any]]], ...]] = (
    (12, Market.order),
    (8, Market.order_through_a_gateway),
    (10, Market.charge),
    (4, Market.ask_again),
    (8, Market.choose),
    (16, Market.press),
    (4, Market.cancel),
    (3, Market.cancel_order),
    (10, Market.refund),
    (14, Market.pay_code),
    (3, Market.pay_key),
    (8, Market.ring),
    (3, Market.ring_again),
    (10, Market.wait),
    (2, Market.meet_trouble),
    (3, Market.look_up),
    (4, _job(confirm_due_hints)),
    (3, _job(check_due_sessions)),
    (3, _job(look_at_due)),
    (2, _job(expire_due)),
    (2, _job(check_due_refunds)),
    (2, _job(sweep)),
)
WEIGHTS: Final = tuple(weight for weight, _ in WEIGHTED)
OPERATIONS: Final = tuple(operation for _, operation in WEIGHTED)


async def _result(work: Awaitable[Any]) -> Any:
    """Return what an operation came to, in a form that can be compared. Of exceptions only refusals are answers."""
    try:
        found = await work
    except Refused as refusal:
        return "refused", refusal.code
    match found:
        case Response():
            headers = {name: value for name, value in found.headers.items() if name != "content-length"}
            return found.status, sorted(headers.items()), found.body.decode()
        case Payment():
            return found.status.value, found.detail.value
        case Charge():
            return found.state.value
    return found
