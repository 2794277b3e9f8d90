"""The life of a payment through the sandbox gateway: states, ledger and events of each arrow."""

import pytest

from opentill.db import Database, ReadTx
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.money import currency, parse
from opentill.payments import flow, service
from opentill.payments.model import Contact, Detail, Order, PaymentStatus
from tests.usecases.payments.shop import open_shop


async def test_a_paid_payment_completes_once_with_its_journal_and_event(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("99.90", order_id="ORD-1")

    paid = await shop.pays(payment)

    assert paid.status is PaymentStatus.COMPLETED
    assert await shop.balances() == {"clearing": -999_000, "available": 999_000}
    assert await shop.events() == ["payment.pending", "payment.processing", "payment.completed"]


async def test_paying_twice_pays_once(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")
    await shop.pays(payment)

    with pytest.raises(Conflict):
        await shop.pays(payment)

    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}


async def test_a_decline_lets_the_payer_try_again(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")

    declined = await shop.pays(payment, "declined")
    assert declined.status is PaymentStatus.PENDING
    assert await shop.balances() == {}

    paid = await shop.pays(payment)
    assert paid.status is PaymentStatus.COMPLETED


async def test_what_the_plain_button_does_follows_the_amount(database: Database) -> None:
    shop = await open_shop(database)

    assert (await shop.pays(await shop.orders("10.02"))).status is PaymentStatus.PENDING
    assert (await shop.pays(await shop.orders("10.03"))).status is PaymentStatus.PROCESSING
    assert (await shop.pays(await shop.orders("10.06"))).detail is Detail.PENDING_REVIEW


@pytest.mark.checklist("M58")
async def test_a_lost_answer_is_unknown_until_the_gateway_is_asked(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")

    unknown = await shop.pays(payment, "answer_lost")
    assert unknown.status is PaymentStatus.PROCESSING
    assert await shop.balances() == {}

    shop.scene.clock.advance(6 * SECOND)
    assert await flow.check_due_sessions(shop.tools) == 1
    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}


async def test_a_lost_call_ends_the_try_and_nothing_is_paid(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")
    await shop.pays(payment, "call_lost")

    shop.scene.clock.advance(6 * SECOND)
    await flow.check_due_sessions(shop.tools)

    assert (await shop.reads(payment)).status is PaymentStatus.PENDING
    assert await shop.balances() == {}


async def test_while_a_try_is_unknown_no_other_may_start(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")
    await shop.pays(payment, "answer_lost")

    with pytest.raises(Conflict):
        await database.write(
            lambda tx: service.cancel(
                tx,
                payment.id,
                owner=payment.owner,
                ids=shop.tools.ids,
                keyring=shop.tools.keyring,
                now=shop.tools.clock.now(),
            )
        )


async def test_another_amount_than_asked_for_is_held_and_waits_for_a_person(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")

    parked = await shop.pays(payment, "short")

    assert (parked.status, parked.detail) == (PaymentStatus.PROCESSING, Detail.PENDING_REVIEW)
    assert await shop.balances() == {"clearing": -99_900, "held": 99_900}
    waiting = await database.read(lambda tx: tx.all("select reason from review_item"))
    assert [row["reason"] for row in waiting] == ["amount differs"]


async def test_a_payment_past_its_time_expires_with_one_event(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")

    shop.scene.clock.advance(31 * MINUTE)
    await flow.expire_due(shop.tools)
    await flow.expire_due(shop.tools)

    assert (await shop.reads(payment)).status is PaymentStatus.EXPIRED
    assert await shop.events() == ["payment.pending", "payment.expired"]
    with pytest.raises(Conflict):
        await shop.pays(payment)


async def test_a_cancelled_payment_cannot_be_paid(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00")

    cancelled = await flow.cancel(shop.tools, payment.token)

    assert cancelled.status is PaymentStatus.CANCELLED
    assert (await flow.cancel(shop.tools, payment.token)).status is PaymentStatus.CANCELLED
    assert await shop.events() == ["payment.pending", "payment.cancelled"]
    with pytest.raises(Conflict):
        await shop.pays(payment)


async def test_a_fixed_gateway_must_be_switched_on(database: Database) -> None:
    shop = await open_shop(database)

    with pytest.raises(NotFound) as refused:
        await database.write(
            lambda tx: service.create(
                tx,
                Order(parse("1.00", currency("BRL")), gateway="nowhere", gateway_fixed=True),
                merchant=shop.merchant,
                ids=shop.tools.ids,
                keyring=shop.tools.keyring,
                now=shop.tools.clock.now(),
            )
        )

    assert refused.value.code == "GATEWAY_NOT_FOUND"
    assert await shop.events() == []


async def test_one_address_is_one_customer_whatever_its_case(database: Database) -> None:
    shop = await open_shop(database)
    await shop.orders("1.00", contact=Contact("Ana", "Ana@Example.com"))
    second = await shop.orders("2.00", contact=Contact("Ana Lima", "ana@example.com", "+55 11 98765-4321"))

    assert second.contact == Contact("Ana Lima", "Ana@Example.com", "+55 11 98765-4321")
    rows = await database.read(lambda tx: tx.all("select sealed from customer"))
    assert len(rows) == 1
    assert "Ana" not in rows[0]["sealed"]
    assert await shop.events() == ["customer.created", "payment.pending", "payment.pending"]


async def test_payments_that_cannot_be_ended_keep_none_behind_them_waiting(database: Database) -> None:
    shop = await open_shop(database)
    stuck = [await shop.orders("1.00", contact=Contact(email=f"{n}@example.com")) for n in range(flow.BATCH)]
    shop.scene.clock.advance(SECOND)
    fine = await shop.orders("1.00")
    await database.write(lambda tx: tx.run("update customer set sealed = 'of a key that is lost'"))
    shop.scene.clock.advance(2 * HOUR)

    with pytest.raises(ExceptionGroup) as met:
        await flow.expire_due(shop.tools)

    assert len(faults_of(met.value)) == len(stuck)
    assert (await shop.reads(fine)).status is PaymentStatus.EXPIRED


async def test_a_payment_is_found_by_the_providers_reference_through_an_index(database: Database) -> None:
    def plan(tx: ReadTx) -> str:
        verb = "explain" if tx.dialect == "postgres" else "explain query plan"
        if tx.dialect == "postgres":  # so few rows would be read whole whatever the indexes
            tx.all("select set_config('enable_seqscan', 'off', true)")
        condition = (
            "p.gateway_ref = :ref and p.merchant_id = :merchant_id and p.mode = :mode order by p.id desc limit 1"
        )
        rows = tx.all(f"{verb} select p.id from payment p where {condition}", ref="x", merchant_id=1, mode=1)
        return "\n".join(str(list(dict(row).values())[-1]) for row in rows)

    assert "payment_provider_ref" in await database.read(plan)


def faults_of(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return what single payments met, whichever page and lane they were of."""
    inside = [faults_of(fault) if isinstance(fault, BaseExceptionGroup) else [fault] for fault in group.exceptions]
    return [fault for faults in inside for fault in faults]
