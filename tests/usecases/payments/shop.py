"""A shop that takes payments in the sandbox, with every tool real."""

from dataclasses import dataclass

from opentill.db import Database
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, VerdictState
from opentill.kernel.clock import HOUR
from opentill.kernel.money import currency, parse
from opentill.ledger import AVAILABLE, FEES, HELD, Account, Journal, clearing, post
from opentill.ledger import queries as ledger
from opentill.merchants import gateways
from opentill.merchants.model import Merchant
from opentill.payments import flow, queries, service
from opentill.payments.model import Order, Payment
from opentill.payments.tools import Tools
from opentill.pix.model import Account as BankAccount
from opentill.pix.port import PixPayout, PixReceiver
from tests.fakes.terminal import Terminal
from tests.make import Scene


def no_bank(account: BankAccount) -> PixReceiver:
    raise AssertionError(f"no test here talks to the bank of account {account.id}")


def no_payer(account: BankAccount) -> PixPayout:
    raise AssertionError(f"no test here pays out from account {account.id}")


@dataclass
class Shop:
    """One merchant, its tools, and sentences a test can say."""

    scene: Scene
    tools: Tools
    merchant: Merchant
    terminal: Terminal

    async def orders(self, amount: str, code: str = "BRL", **more: object) -> Payment:
        order = Order(parse(amount, currency(code)), **{"gateway": "sandbox", **more})  # type: ignore[arg-type]
        created = await self.tools.db.write(
            lambda tx: service.create(
                tx,
                order,
                merchant=self.merchant,
                ids=self.tools.ids,
                keyring=self.tools.keyring,
                now=self.tools.clock.now(),
            )
        )
        return await self.reads(created)

    async def pays(self, payment: Payment, outcome: str = "pay") -> Payment:
        """Choose the sandbox and press a button of its page."""
        await flow.choose_gateway(self.tools, payment.token, "sandbox")
        return await flow.submit(self.tools, payment.token, {"outcome": outcome})

    async def loses(self, payment: Payment) -> Payment:
        """Submit a payment whose gateway never answers, until it has expired."""
        self.terminal.pays = self.terminal.says = UnpaidVerdict(VerdictState.UNKNOWN)
        await self.pays(payment)
        self.scene.clock.advance(2 * HOUR)
        await flow.expire_due(self.tools)
        self.terminal.pays = self.terminal.says = None
        return await self.reads(payment)

    async def hears_late(self, payment: Payment, name: str = "late") -> Payment:
        """Let the gateway say at last that the newest try was paid."""
        session = await self.tools.db.read(lambda tx: queries.last_session(tx, payment))
        assert session is not None
        paid = PaidVerdict(f"{name}-{session.reference}", payment.amount)
        return await self.tools.db.write(
            lambda tx: service.conclude(
                tx, session, paid, ids=self.tools.ids, keyring=self.tools.keyring, now=self.tools.clock.now()
            )
        )

    async def reads(self, payment: Payment) -> Payment:
        found = await self.tools.db.read(
            lambda tx: queries.find(tx, payment.uuid, owner=payment.owner, keyring=self.tools.keyring)
        )
        assert found is not None
        return found

    async def tries(self, payment: Payment) -> list[str]:
        """Return the states of a payment's sessions."""
        rows = await self.tools.db.read(
            lambda tx: tx.all("select state from gateway_session where payment_id = :id order by id", id=payment.id)
        )
        return [row["state"] for row in rows]

    async def balance(self, account: Account, code: str = "BRL") -> int:
        money = await self.tools.db.read(lambda tx: ledger.balance(tx, account, code, owner=self.merchant.owner))
        return money.units

    async def balances(self) -> dict[str, int]:
        """Return what is not zero."""
        accounts = {"clearing": clearing("sandbox"), "available": AVAILABLE, "held": HELD, "fees": FEES}
        read = {name: await self.balance(account) for name, account in accounts.items()}
        return {name: units for name, units in read.items() if units}

    async def balance_of(self, name: str, code: str) -> int:
        return await self.balance({"available": AVAILABLE, "held": HELD, "fees": FEES}[name], code)

    async def takes_out(self, amount: str, code: str = "BRL") -> None:
        """Have the merchant's money leave, as a payout would."""
        money = parse(amount, currency(code))
        entries = (AVAILABLE.debit(money), clearing("sandbox").credit(money))
        journal = Journal(self.merchant.owner, "test.taken", "test", self.tools.ids.uuid7(), entries)
        await self.tools.db.write(lambda tx: post(tx, journal, now=self.tools.clock.now()))

    async def reviews(self) -> list[str]:
        rows = await self.tools.db.read(lambda tx: tx.all("select reason from review_item order by id"))
        return [row["reason"] for row in rows]

    async def events(self) -> list[str]:
        rows = await self.tools.db.read(lambda tx: tx.all("select type from event order by seq"))
        return [row["type"] for row in rows]


async def open_shop(database: Database, *, seed: int = 7) -> Shop:
    scene = Scene(seed)
    merchant = await database.write(scene.merchant)
    await database.write(
        lambda tx: gateways.switch_on(
            tx, "sandbox", name="Sandbox", owner=merchant.owner, position=0, now=scene.clock.now()
        )
    )
    terminal = Terminal()
    tools = Tools(database, scene.clock, scene.ids, scene.keyring, {"sandbox": terminal}, no_bank, no_payer)
    return Shop(scene, tools, merchant, terminal)
