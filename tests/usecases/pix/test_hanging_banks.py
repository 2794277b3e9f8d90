"""A bank or gateway that hangs delays nobody but itself (pix-rail.md §6.8)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from opentill.db import Tx
from opentill.gateways.port import GatewaySession, Verdict
from opentill.gateways.rounds import Lanes
from opentill.kernel.clock import HOUR, MINUTE, Instant
from opentill.merchants import gateways
from opentill.payments import flow
from opentill.payments.model import PaymentStatus
from opentill.payments.pix import service as money
from opentill.payments.pix.refunder import PixRefunder
from opentill.payments.refunds import flow as refund_flow
from opentill.pix import store as rows
from opentill.pix.model import GATEWAY, Account
from opentill.pix.port import Nature, ProviderReceipt, ProviderReturn, ReceiptPayer, ReturnState
from tests.fakes.terminal import Terminal
from tests.usecases.pix.shop import Shop

pytestmark = pytest.mark.anyio
LOOKS_MAX = 3_000


class Bank:
    """Gives money back at once, unless it hangs."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.asked, self.through = asyncio.Event(), asyncio.Event()
        if not hangs:
            self.through.set()

    async def request_return(self, e2e_id: str, ref: str, amount_centavos: int, text: str) -> ProviderReturn:
        self.asked.set()
        await self.through.wait()
        return ProviderReturn(ref, f"D{e2e_id[1:]}", amount_centavos, ReturnState.COMPLETED, Nature.ORDINARY)

    async def get_return(self, e2e_id: str, ref: str) -> ProviderReturn | None:
        self.asked.set()
        await self.through.wait()
        return None  # it never got it


async def asks_back(shop: Shop, account_id: int, tail: str = "first0") -> int:
    """Have money arrive at an account, and its merchant ask for it to go back; return the refund's number."""
    arrived = ProviderReceipt(
        e2e_id=f"E99999002202603071530{tail}{account_id:05}",
        txid=None,
        amount_centavos=1_000,
        key=None,
        settled_at=shop.clock.now(),
        payer=ReceiptPayer(),
        message=None,
    )

    def book(tx: Tx) -> Account:
        account = rows.account(tx, account_id)
        assert account is not None
        money.receive(tx, account, arrived, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
        return account

    account = await shop.db.write(book)
    refund = await shop.gives_back(arrived.e2e_id, owner=account.owner)
    return refund.id


async def refund_status(shop: Shop, number: int) -> str:
    return str((await shop.rows("select status from refund where id = :id", id=number))[0]["status"])


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(LOOKS_MAX):
        if await happened():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it waits for the one that hangs")


async def test_a_refund_ends_while_another_bank_hangs(shop: Shop) -> None:
    await shop.opens_accounts(1)
    mine = shop.account_id
    [others] = [row["id"] for row in await shop.rows("select id from pix_account where id <> :id", id=mine)]
    stuck, other = await asks_back(shop, mine), await asks_back(shop, others)
    hanging, quick = Bank(hangs=True), Bank()
    refunder = PixRefunder(shop.db, lambda account: hanging if account.id == mine else quick)  # type: ignore[arg-type]
    tools = replace(shop.tools, refunders={GATEWAY: refunder})
    lanes = Lanes[str]()

    async def has_ended() -> bool:
        return await refund_status(shop, other) == "completed"

    first = asyncio.create_task(refund_flow.check_due_refunds(tools, lanes))
    await until(has_ended)
    assert (await refund_status(shop, stuck), lanes.busy) == ("pending", {f"pix:{mine}"})

    waiting, next_one = await asks_back(shop, mine, "second"), await asks_back(shop, others, "second")
    assert await refund_flow.check_due_refunds(tools, lanes) == 1
    assert [await refund_status(shop, number) for number in (waiting, next_one)] == ["pending", "completed"]

    hanging.through.set()
    assert await first == 2
    assert await refund_flow.check_due_refunds(tools, lanes) == 1
    assert [await refund_status(shop, number) for number in (stuck, waiting)] == ["completed", "completed"]


class Hanging(Terminal):
    """A gateway that does not say what became of a payment until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.through = asyncio.Event()

    async def fetch_status(self, session: GatewaySession, *, now: Instant) -> Verdict:
        await self.through.wait()
        return await super().fetch_status(session, now=now)


async def test_a_session_ends_while_another_gateway_hangs(shop: Shop) -> None:
    hanging = Hanging()
    tools = replace(shop.tools, gateways={"sandbox": Terminal(), "cards": hanging})
    await shop.db.write(
        lambda tx: gateways.switch_on(
            tx, "cards", name="Cards", owner=shop.merchant.owner, position=2, now=shop.clock.now()
        )
    )
    stuck, other = await shop.orders(), await shop.orders()
    for payment, slug in ((stuck, "cards"), (other, "sandbox")):
        await flow.choose_gateway(tools, payment.token, slug)
        await flow.submit(tools, payment.token, {"outcome": "answer_lost"})
    shop.passes(MINUTE)
    lanes = Lanes[str]()

    async def has_ended() -> bool:
        return (await shop.reads(other)).status is PaymentStatus.COMPLETED

    first = asyncio.create_task(flow.check_due_sessions(tools, lanes))
    await until(has_ended)
    assert ((await shop.reads(stuck)).open, lanes.busy) == (True, {"cards"})
    assert await flow.check_due_sessions(tools, lanes) == 0

    hanging.through.set()
    assert await first == 2
    assert (await shop.reads(stuck)).status is PaymentStatus.COMPLETED


async def test_time_runs_out_for_a_merchant_while_the_gateway_of_another_hangs(shop: Shop) -> None:
    hanging = Hanging()
    tools = replace(shop.tools, gateways={"sandbox": hanging})
    stuck = await shop.orders()
    await flow.choose_gateway(tools, stuck.token, "sandbox")
    await flow.submit(tools, stuck.token, {"outcome": "answer_lost"})
    owner = shop.merchant
    shop.merchant = await shop.db.write(lambda tx: shop.scene.merchant(tx, "other"))
    other = await shop.orders()
    shop.merchant = owner
    shop.passes(2 * HOUR)
    lanes = Lanes[int]()

    async def has_ended() -> bool:
        return (await shop.reads(other)).status is PaymentStatus.EXPIRED

    first = asyncio.create_task(flow.expire_due(tools, lanes))
    await until(has_ended)
    assert ((await shop.reads(stuck)).open, lanes.busy) == (True, {stuck.owner.merchant_id})

    hanging.through.set()
    assert await first == 2
    assert (await shop.reads(stuck)).status is PaymentStatus.COMPLETED
