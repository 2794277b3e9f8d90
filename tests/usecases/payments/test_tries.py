"""A try with a gateway: what is said early, late, twice, or while something else happens."""

import asyncio

import psycopg
import pytest

from opentill.db import Database, open_database
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, VerdictState
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND
from opentill.kernel.errors import Conflict
from opentill.payments import flow
from opentill.payments.model import Detail, PaymentStatus
from tests.conftest import OPTIONS
from tests.usecases.payments.shop import Shop, open_shop

NOBODY_KNOWS = UnpaidVerdict(VerdictState.UNKNOWN)
NEVER_GOT_IT = UnpaidVerdict(VerdictState.FAILED, reason="The provider never got the payment.")


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await open_shop(database)


async def test_a_form_nobody_sent_may_be_asked_about_without_tying_the_payer_to_it(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")

    shop.scene.clock.advance(MINUTE)
    assert await flow.check_due_sessions(shop.tools) == 1

    assert await shop.tries(payment) == ["open"]
    assert (await flow.cancel(shop.tools, payment.token)).status is PaymentStatus.CANCELLED


async def test_while_the_first_call_is_under_way_nobody_believes_that_it_never_arrived(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    shop.terminal.says = NEVER_GOT_IT

    async def others_are_impatient() -> None:
        shop.scene.clock.advance(9 * SECOND)
        await flow.check_due_sessions(shop.tools)
        with pytest.raises(Conflict):
            await flow.cancel(shop.tools, payment.token)

    shop.terminal.while_paying = others_are_impatient

    paid = await shop.pays(payment)

    assert paid.status is PaymentStatus.COMPLETED
    assert shop.terminal.asked == []
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}


async def test_a_call_whose_process_died_is_asked_about_once_it_must_have_ended(shop: Shop) -> None:
    payment = await shop.orders("10.00")

    class Died(BaseException):
        pass

    async def die() -> None:
        raise Died

    shop.terminal.while_paying = die
    with pytest.raises(Died):
        await shop.pays(payment)
    shop.terminal.says = NEVER_GOT_IT

    shop.scene.clock.advance(16 * SECOND)
    assert await flow.check_due_sessions(shop.tools) == 1

    assert await shop.tries(payment) == ["declined"]
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING


async def test_what_was_said_of_an_empty_form_says_nothing_of_what_was_sent_since(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    _, before, _ = await flow.choose_gateway(shop.tools, payment.token, "sandbox")
    shop.terminal.pays = NOBODY_KNOWS
    await flow.submit(shop.tools, payment.token, {"outcome": "paid"})

    shop.terminal.says = NEVER_GOT_IT  # the asking began before the form was sent
    await flow.check_session(shop.tools, before)

    assert await shop.tries(payment) == ["unknown"]


async def test_a_form_is_not_sent_on_after_the_payment_has_run_out(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")

    shop.scene.clock.advance(30 * MINUTE)
    with pytest.raises(Conflict):
        await flow.submit(shop.tools, payment.token, {"outcome": "paid"})

    assert shop.terminal.told == []


async def test_one_reference_pays_one_payment_and_a_second_claim_waits_for_a_person(shop: Shop) -> None:
    first, second = await shop.orders("10.00"), await shop.orders("10.00")
    shop.terminal.pays = PaidVerdict("same", first.amount)

    await shop.pays(first)
    claimed = await shop.pays(second)

    assert (claimed.status, claimed.detail) == (PaymentStatus.PROCESSING, Detail.PENDING_REVIEW)
    assert await shop.reviews() == ["its money was counted for another payment"]
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}


async def test_at_its_time_a_payment_is_asked_about_and_an_hour_later_it_ends(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    shop.terminal.pays = shop.terminal.says = NOBODY_KNOWS
    await shop.pays(payment)
    shop.scene.clock.advance(29 * MINUTE)
    await flow.check_due_sessions(shop.tools)
    asked = len(shop.terminal.asked)

    shop.scene.clock.advance(MINUTE)
    await flow.check_due_sessions(shop.tools)
    await flow.expire_due(shop.tools)
    assert len(shop.terminal.asked) == asked + 1
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING

    shop.scene.clock.advance(HOUR)
    await flow.expire_due(shop.tools)
    assert (await shop.reads(payment)).status is PaymentStatus.EXPIRED
    assert await shop.tries(payment) == ["unknown"]


async def test_a_gateway_that_knows_only_days_after_the_payment_ended_is_heard_without_a_callback(shop: Shop) -> None:
    payment = await shop.loses(await shop.orders("10.00"))
    shop.terminal.says = NOBODY_KNOWS
    asked = len(shop.terminal.asked)
    for _ in range(48):
        shop.scene.clock.advance(HOUR)
        await flow.check_due_sessions(shop.tools)
    assert len(shop.terminal.asked) == asked + 2  # daily

    shop.terminal.says = PaidVerdict("at last", payment.amount)
    shop.scene.clock.advance(DAY)
    await flow.check_due_sessions(shop.tools)

    paid = await shop.reads(payment)
    assert (paid.status, paid.late) == (PaymentStatus.COMPLETED, True)
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}


async def test_a_gateway_that_does_not_know_is_asked_by_schedule_also_after_the_payments_time(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    shop.terminal.pays = shop.terminal.says = NOBODY_KNOWS
    await shop.pays(payment)

    for _ in range(60):
        shop.scene.clock.advance(MINUTE)
        await flow.check_due_sessions(shop.tools)
        await flow.expire_due(shop.tools)

    assert len(shop.terminal.asked) < 12


async def test_payments_that_wait_for_an_outcome_keep_no_other_from_expiring(shop: Shop) -> None:
    shop.terminal.pays = shop.terminal.says = NOBODY_KNOWS
    for _ in range(flow.BATCH):
        await shop.pays(await shop.orders("10.00"))
    shop.scene.clock.advance(MINUTE)
    other = await shop.orders("10.00")

    shop.scene.clock.advance(30 * MINUTE)
    await flow.expire_due(shop.tools)

    assert (await shop.reads(other)).status is PaymentStatus.EXPIRED


async def test_a_gateway_that_is_gone_is_one_that_does_not_know(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await shop.pays(payment, "pending")
    await shop.tools.db.write(lambda tx: tx.run("update gateway_session set gateway = 'gone'"))

    shop.scene.clock.advance(30 * MINUTE)
    await flow.check_due_sessions(shop.tools)
    assert await shop.tries(payment) == ["unknown"]

    shop.scene.clock.advance(HOUR)
    await flow.expire_due(shop.tools)
    assert (await shop.reads(payment)).status is PaymentStatus.EXPIRED


async def test_a_form_waits_for_whoever_is_ending_the_payment(postgres_url: str) -> None:
    async with open_database(postgres_url, options=OPTIONS) as database:
        shop = await open_shop(database)
        payment = await shop.orders("10.00")
        await flow.choose_gateway(shop.tools, payment.token, "sandbox")

        async with await psycopg.AsyncConnection.connect(postgres_url) as other:
            await other.execute("select 1 from payment for update")
            sending = asyncio.create_task(flow.submit(shop.tools, payment.token, {"outcome": "paid"}))
            await asyncio.sleep(0.3)
            await other.execute("update payment set status = 'cancelled', detail = 'cancelled'")
            await other.execute("update gateway_session set state = 'abandoned', next_check_at = null")
            await other.commit()
        with pytest.raises(Conflict):
            await sending

        assert shop.terminal.told == []
        assert await shop.balances() == {}
