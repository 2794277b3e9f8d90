"""Payouts while a bank hangs, a process stands still, and single rows are beyond help (pix-rail.md §5)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from opentill import ledger
from opentill.db import Database
from opentill.gateways.rounds import Lanes
from opentill.kernel.clock import SECOND
from opentill.ledger import AVAILABLE, HELD, Journal
from opentill.payments.tools import Tools
from opentill.pix.payouts import flow
from opentill.pix.payouts.model import State
from opentill.pix.port import PayoutRequest, ProviderPayout, Refused
from tests.fakes.payout_bank import PayoutBank
from tests.usecases.pix.shop import Shop, open_shop

pytestmark = pytest.mark.anyio
AT_ONCE = 8  # calls to one bank


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as shop:
        yield shop


class Hanging:
    """A way to a bank on which every payout waits until it is let through."""

    def __init__(self, bank: PayoutBank) -> None:
        self._bank, self.capabilities = bank, bank.capabilities
        self.through, self.waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def submit(self, request: PayoutRequest) -> ProviderPayout:
        self.waiting.release()
        await self.through.wait()
        return await self._bank.submit(request)

    async def query(self, ref: str, e2e_id: str | None) -> ProviderPayout | None:
        return await self._bank.query(ref, e2e_id)

    async def holds(self, count: int) -> None:
        for _ in range(count):
            await self.waiting.acquire()


def over(shop: Shop, bank: object) -> Tools:
    return replace(shop.another_worker(), payer=lambda _account: bank)  # type: ignore[arg-type,return-value]


async def test_who_comes_too_late_sends_nothing(shop: Shop) -> None:
    await shop.funds("100.00")
    sent = []
    for _ in range(AT_ONCE + 1):
        sent.append(await shop.sends("10.00"))
        shop.passes(1)
    line = Hanging(shop.payout_bank)
    slow = asyncio.create_task(flow.work_due(over(shop, line)))
    await line.holds(AT_ONCE)

    # Another process finds the last one, and the bank refuses it: the money is the merchant's again.
    shop.passes(61 * SECOND)
    shop.payout_bank.next(*[Refused("key_not_found", "no such key")] * len(sent))
    await flow.work_due(over(shop, shop.payout_bank))
    await flow.work_due(over(shop, shop.payout_bank))
    last = await shop.payout(sent[-1])
    assert last.state is State.FAILED

    line.through.set()
    await slow

    assert sent[-1].id not in shop.payout_bank.executed
    assert (await shop.payout(sent[-1])).state is State.FAILED


async def test_a_payout_that_cannot_be_dealt_with_keeps_no_other_waiting(shop: Shop) -> None:
    await shop.funds("100.00")
    await shop.allows(approve_from_units=0, approve_within_s=1)
    broken = await shop.sends("10.00")
    twice = Journal(
        broken.owner, "payout.released", "payout", broken.id, (HELD.debit(broken.hold), AVAILABLE.credit(broken.hold))
    )
    await shop.db.write(lambda tx: ledger.post(tx, twice, now=shop.clock.now()))
    await shop.allows()
    shop.passes(2 * SECOND)
    fine = await shop.sends("10.00")

    with pytest.raises(ExceptionGroup):
        await shop.pays_out()

    assert (await shop.payout(fine)).state is State.PROCESSING
    assert (await shop.payout(broken)).state is State.PENDING_APPROVAL
    await shop.pays_out()  # it was put off


async def test_a_bank_that_cannot_be_spoken_to_keeps_no_other_waiting(shop: Shop) -> None:
    await shop.funds("100.00")
    sent = await shop.sends("10.00")
    await shop.pays_out()
    due = (await shop.payout(sent)).due_at

    def lost(_account: object) -> PayoutBank:
        raise KeyError("client_id")

    shop.passes(3 * SECOND)
    with pytest.raises(ExceptionGroup):
        await flow.work_due(replace(shop.tools, payer=lost))
    put_off = (await shop.payout(sent)).due_at
    assert due is not None
    assert put_off is not None
    assert put_off > shop.clock.now() > due


async def test_a_hanging_bank_is_left_behind(shop: Shop) -> None:
    await shop.funds("100.00")
    await shop.sends("10.00")
    line = Hanging(shop.payout_bank)
    lanes = Lanes[int](patience_s=0.05)

    assert await flow.work_due(over(shop, line), lanes) == 1
    assert await flow.work_due(over(shop, line), lanes) == 0
    assert lanes.busy
    line.through.set()
    await asyncio.wait_for(asyncio.gather(*lanes.running), 10)
    assert sum(shop.payout_bank.executed.values()) == 1


async def test_while_a_payout_is_sent_again_a_notification_sends_no_third(shop: Shop) -> None:
    await shop.funds("100.00")
    sent = await shop.sends("10.00")
    shop.payout_bank.next("timeout_before")
    await shop.pays_out()
    shop.passes(3 * SECOND)
    line = Hanging(shop.payout_bank)
    again = asyncio.create_task(flow.work_due(over(shop, line)))
    await line.holds(1)

    shop.passes(2 * SECOND)
    assert not await flow.ask_by_id(over(shop, shop.payout_bank), sent.id, account_id=shop.account_id)
    assert len(shop.payout_bank.submits) == 1

    line.through.set()
    await again
    assert len(shop.payout_bank.submits) == 2
    assert shop.payout_bank.executed == {sent.id: 1}
