"""Giving money back: in full, in part, often, refused, and when nobody knows whether it went through."""

import asyncio
from collections import Counter

import pytest

from opentill.db import Database
from opentill.gateways.port import RefundAnswer, RefundState
from opentill.kernel.clock import DAY, MINUTE, SECOND
from opentill.kernel.money import currency, parse
from opentill.merchants import options
from opentill.payments.model import Detail, Payment, PaymentStatus, Refund, RefundStatus, RefundStep
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds.rules import Objection, RefundRefused
from opentill.payments.refunds.service import Wish
from opentill.payments.verification import find_faults
from tests.usecases.payments.shop import Shop, open_shop


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await open_shop(database)


async def refunds(shop: Shop, payment: Payment, amount: str | None = None, **more: str) -> Refund:
    units = parse(amount, payment.amount.currency).units if amount else None
    wish = Wish(shop.tools.ids.uuid7(), units, **more)
    return await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)


async def paid(shop: Shop, amount: str, code: str = "BRL") -> Payment:
    return await shop.pays(await shop.orders(amount, code))


async def faults(shop: Shop) -> list[str]:
    return await shop.tools.db.read(lambda tx: list(find_faults(tx)))


async def set_fee(shop: Shop, basis_points: int) -> None:
    await shop.tools.db.write(
        lambda tx: tx.run(
            "insert into fee_rule (merchant_id, basis_points, created_at) values (:id, :share, 0)",
            id=shop.merchant.id,
            share=basis_points,
        )
    )


async def test_a_full_refund_reverses_what_the_payment_posted(shop: Shop) -> None:
    await set_fee(shop, 250)
    payment = await paid(shop, "99.90")

    refund = await refunds(shop, payment, reason="Returned goods")

    assert (refund.status, refund.amount, refund.reason) == (RefundStatus.COMPLETED, payment.amount, "Returned goods")
    assert refund.gateway_ref
    assert await shop.balances() == {}
    read = await shop.reads(payment)
    assert (read.status, read.detail) == (PaymentStatus.COMPLETED, Detail.REFUNDED)
    assert read.refunded == read.amount
    assert (await shop.events())[-3:] == ["payment.completed", "refund.created", "refund.completed"]
    assert await faults(shop) == []


@pytest.mark.checklist("M54")
async def test_parts_add_up_to_the_whole_with_their_fees(shop: Shop) -> None:
    await set_fee(shop, 333)
    payment = await paid(shop, "10.00")

    for part in ("3.33", "3.33", "3.33"):
        assert (await refunds(shop, payment, part)).status is RefundStatus.COMPLETED
        assert (await shop.reads(payment)).detail is Detail.COMPLETED
    last = await refunds(shop, payment)

    assert last.amount.units == 100
    assert await shop.balances() == {}
    assert (await shop.reads(payment)).detail is Detail.REFUNDED
    assert await faults(shop) == []


async def test_a_refund_above_what_is_left_is_refused_and_told_what_is_left(shop: Shop) -> None:
    payment = await paid(shop, "10.00")
    await refunds(shop, payment, "4.00")

    with pytest.raises(RefundRefused) as refused:
        await refunds(shop, payment, "6.01")

    assert refused.value.objection is Objection.TOO_MUCH
    assert "6.00 BRL" in refused.value.message
    assert (await refunds(shop, payment, "6.00")).status is RefundStatus.COMPLETED
    with pytest.raises(RefundRefused) as nothing:
        await refunds(shop, payment)
    assert nothing.value.objection is Objection.NOTHING_LEFT


@pytest.mark.parametrize("units", [0, -100])
async def test_nothing_and_less_than_nothing_are_refused(shop: Shop, units: int) -> None:
    payment = await paid(shop, "10.00")

    wish = Wish(shop.tools.ids.uuid7(), units)
    with pytest.raises(RefundRefused) as refused:
        await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)

    assert refused.value.objection is Objection.NOT_POSITIVE
    assert "10.00 BRL" in refused.value.message


async def test_only_a_completed_payment_is_refunded(shop: Shop) -> None:
    payment = await shop.orders("10.00")

    with pytest.raises(RefundRefused) as refused:
        await refunds(shop, payment)

    assert refused.value.objection is Objection.NOT_COMPLETED
    assert await shop.events() == ["payment.pending"]


async def test_a_gateways_no_ends_the_refund_and_frees_its_amount(shop: Shop) -> None:
    payment = await paid(shop, "10.09")

    failed = await refunds(shop, payment, "4.00")

    assert (failed.status, failed.failure_code) == (RefundStatus.FAILED, "refused")
    assert (await shop.reads(payment)).refundable == payment.amount
    assert (await shop.events())[-2:] == ["refund.created", "refund.failed"]
    assert await shop.balances() == {"clearing": -100_900, "available": 100_900}
    assert await faults(shop) == []


@pytest.mark.checklist("M54")
async def test_a_lost_answer_stays_pending_until_the_gateway_tells_and_is_not_sent_twice(shop: Shop) -> None:
    payment = await paid(shop, "10.10")

    unknown = await refunds(shop, payment)

    assert (unknown.status, unknown.step) == (RefundStatus.PENDING, RefundStep.UNKNOWN)
    assert (await shop.reads(payment)).refundable.units == 0
    assert await shop.balances() == {"clearing": -101_000, "available": 101_000}
    shop.scene.clock.advance(6 * SECOND)
    assert await refund_flow.check_due_refunds(shop.tools) == 1
    assert await refund_flow.check_due_refunds(shop.tools) == 0
    assert await shop.balances() == {}
    assert (await shop.events())[-2:] == ["refund.created", "refund.completed"]
    assert shop.terminal.refunded == [unknown.uuid]


async def test_a_refund_that_never_arrived_is_sent_again_under_the_same_name(shop: Shop) -> None:
    payment = await paid(shop, "10.00")
    shop.terminal.refunds = RefundAnswer(RefundState.UNKNOWN)
    refund = await refunds(shop, payment)
    shop.terminal.refunds = None
    shop.terminal.says_of_refunds = RefundAnswer(RefundState.ABSENT)

    shop.scene.clock.advance(6 * SECOND)
    await refund_flow.check_due_refunds(shop.tools)

    assert shop.terminal.refunded == [refund.uuid, refund.uuid]
    assert await shop.balances() == {}


async def test_while_nobody_knows_the_gateway_is_asked_by_schedule_and_after_a_day_a_person_sees_it(shop: Shop) -> None:
    payment = await paid(shop, "10.00")
    shop.terminal.refunds = shop.terminal.says_of_refunds = RefundAnswer(RefundState.UNKNOWN)
    refund = await refunds(shop, payment)

    for _ in range(60):
        shop.scene.clock.advance(MINUTE)
        await refund_flow.check_due_refunds(shop.tools)
    asked = len(shop.terminal.asked_of_refunds)
    assert asked < 15
    assert await shop.reviews() == []

    for _ in range(3):
        shop.scene.clock.advance(DAY)
        await refund_flow.check_due_refunds(shop.tools)
    assert await shop.reviews() == ["nobody knows whether a refund went through"]
    shop.terminal.says_of_refunds = RefundAnswer(RefundState.COMPLETED, ref="R-1")
    shop.scene.clock.advance(DAY)
    await refund_flow.check_due_refunds(shop.tools)
    assert shop.terminal.refunded == [refund.uuid]
    assert await shop.balances() == {}


async def test_a_call_whose_process_died_is_gone_on_with(shop: Shop) -> None:
    payment = await paid(shop, "10.00")

    class Died(BaseException):
        pass

    async def die() -> None:
        raise Died

    shop.terminal.while_refunding = die
    with pytest.raises(Died):
        await refunds(shop, payment, "4.00")
    assert await refund_flow.check_due_refunds(shop.tools) == 0

    shop.scene.clock.advance(16 * SECOND)
    assert await refund_flow.check_due_refunds(shop.tools) == 1
    assert (await shop.reads(payment)).refunded.units == 40_000


@pytest.mark.checklist("M54")
async def test_many_at_once_never_exceed_the_payment(shop: Shop) -> None:
    payment = await paid(shop, "10.00")

    results = await asyncio.gather(*(refunds(shop, payment, "3.00") for _ in range(8)), return_exceptions=True)

    assert Counter(type(result).__name__ for result in results) == {"Refund": 3, "RefundRefused": 5}
    assert (await shop.reads(payment)).refundable.units == 10_000
    assert await faults(shop) == []


async def test_with_the_balance_check_a_refund_needs_the_money(shop: Shop) -> None:
    await shop.tools.db.write(lambda tx: options.change(tx, {"refund_balance_check": True}, owner=shop.merchant.owner))
    payment, other = await paid(shop, "10.00"), await paid(shop, "5.00")
    await shop.takes_out("12.00")

    with pytest.raises(RefundRefused) as refused:
        await refunds(shop, payment)

    assert refused.value.objection is Objection.BALANCE
    assert (await refunds(shop, other, "3.00")).status is RefundStatus.COMPLETED
    assert await faults(shop) == []


async def test_where_fees_are_kept_the_merchant_pays_the_whole_refund(shop: Shop) -> None:
    await set_fee(shop, 1_000)
    await shop.tools.db.write(lambda tx: options.change(tx, {"refund_fees": False}, owner=shop.merchant.owner))
    payment = await paid(shop, "10.00")

    await refunds(shop, payment)

    assert await shop.balances() == {"available": -10_000, "fees": 10_000}
    assert await faults(shop) == []


async def test_proof_that_a_failed_refund_went_through_is_for_a_person(shop: Shop) -> None:
    payment = await paid(shop, "10.09")
    failed = await refunds(shop, payment)
    answer, tools = RefundAnswer(RefundState.COMPLETED, ref="R-1"), shop.tools

    for _ in range(2):
        again = await tools.db.write(
            lambda tx: refund_flow.refunds.conclude(
                tx, failed, answer, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now()
            )
        )

    assert again.status is RefundStatus.FAILED
    assert await shop.reviews() == ["a refund that had failed went through"]
    assert await shop.balances() == {"clearing": -100_900, "available": 100_900}


@pytest.mark.checklist("M54")
async def test_amounts_of_every_exponent_go_back_to_the_last_unit(shop: Shop) -> None:
    await set_fee(shop, 777)
    for amount, code in (("1500", "JPY"), ("99.99", "USD"), ("1.257", "KWD"), ("0.0007", "CLF")):
        payment = await paid(shop, amount, code)
        part = payment.amount.units // 300 * 100
        for _ in range(3):
            if part:
                wish = Wish(shop.tools.ids.uuid7(), part)
                await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)
        if (await shop.reads(payment)).refundable.units:
            await refunds(shop, payment)
        for account in ("available", "fees"):
            assert await shop.balance_of(account, currency(code).code) == 0

    assert await faults(shop) == []
