"""A process stands still between writing down that it will call a gateway and the call (merchant-api.md §15.3)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from opentill.db import Database, ReadTx, Tx
from opentill.gateways.port import RefundAnswer, RefundOrder, RefundState
from opentill.kernel.clock import SECOND, Instant
from opentill.payments import flow
from opentill.payments.model import Payment, RefundStatus
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds.service import Wish
from tests.fakes.terminal import Terminal
from tests.usecases.payments.shop import Shop, open_shop

pytestmark = pytest.mark.anyio
T = TypeVar("T")


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await open_shop(database)


class Pausing:
    """A database after whose next write the process stands still."""

    def __init__(self, shop: Shop, seconds: int) -> None:
        self._db, self._clock, self._seconds = shop.tools.db, shop.scene.clock, seconds

    async def write(self, work: Callable[[Tx], T]) -> T:
        result = await self._db.write(work)
        self._clock.advance(self._seconds * SECOND)
        self._seconds = 0
        return result

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        return await self._db.read(work)


class SlowToAnswer(Terminal):
    """A gateway that takes its time to say that it never heard of a refund."""

    def __init__(self, shop: Shop, seconds: int) -> None:
        super().__init__()
        self._clock, self._seconds = shop.scene.clock, seconds

    async def fetch_refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        self._clock.advance(self._seconds * SECOND)
        return RefundAnswer(RefundState.ABSENT)


def paused(shop: Shop, seconds: int) -> Any:
    return replace(shop.tools, db=Pausing(shop, seconds))  # type: ignore[arg-type]


async def lost_refund(shop: Shop, payment: Payment) -> str:
    """Ask for a refund whose call was lost; return its name."""
    shop.terminal.refunds = RefundAnswer(RefundState.UNKNOWN)
    wish = Wish(shop.tools.ids.uuid7())
    await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)
    shop.scene.clock.advance(6 * SECOND)
    return wish.uuid


@pytest.mark.parametrize(("seconds", "paid"), [(4, True), (6, False)])
async def test_who_stood_still_too_long_does_not_pay_any_more(shop: Shop, seconds: int, paid: bool) -> None:
    payment = await shop.orders("10.00")
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")

    await flow.submit(paused(shop, seconds), payment.token, {"outcome": "paid"})

    assert len(shop.terminal.told) == paid
    assert len(shop.terminal.asked) == (not paid)


@pytest.mark.parametrize(("seconds", "sent"), [(4, 1), (6, 0)])
async def test_who_stood_still_too_long_does_not_give_back_any_more(shop: Shop, seconds: int, sent: int) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "paid")

    wish = Wish(shop.tools.ids.uuid7())
    await refund_flow.give_back(paused(shop, seconds), payment.id, wish, owner=payment.owner)
    assert len(shop.terminal.refunded) == sent

    shop.terminal.says_of_refunds = RefundAnswer(RefundState.ABSENT)
    shop.scene.clock.advance(20 * SECOND)
    await refund_flow.check_due_refunds(shop.tools)
    assert shop.terminal.refunded == [wish.uuid]
    assert (await shop.reads(payment)).refunded == payment.amount


@pytest.mark.parametrize(("seconds", "sent"), [(9, 1), (16, 0)])
async def test_a_gateway_slow_to_answer_is_not_called_by_two(shop: Shop, seconds: int, sent: int) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "paid")
    uuid = await lost_refund(shop, payment)
    slow, others = SlowToAnswer(shop, seconds), list[int]()

    async def another_worker_looks() -> None:
        shop.scene.clock.advance(7 * SECOND)
        others.append(await refund_flow.check_due_refunds(shop.tools))

    slow.while_refunding = another_worker_looks
    await refund_flow.check_due_refunds(replace(shop.tools, gateways={"sandbox": slow}))

    assert others == [0] * sent
    assert slow.refunded == [uuid] * sent
    refund = (await shop.tools.db.read(lambda tx: tx.all("select status from refund")))[0]
    assert refund["status"] == (RefundStatus.COMPLETED if sent else RefundStatus.PENDING)
