"""A payer who tries a card and a PIX code: whatever arrives is booked, and nothing ends while an outcome is awaited."""

import pytest

from opentill.gateways.port import PaidVerdict, UnpaidVerdict, VerdictState
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.errors import Conflict
from opentill.payments import flow, queries
from opentill.payments.model import PaymentStatus
from opentill.pix.model import State
from tests.usecases.pix.shop import Shop

NOBODY_KNOWS = UnpaidVerdict(VerdictState.UNKNOWN)


async def test_a_payment_paid_by_card_takes_the_money_of_its_code_as_well(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    await shop.pays_by_card(payment)

    await shop.payer_pays(charge)
    await shop.is_told()

    paid = await shop.reads(payment)
    assert (paid.status, paid.gateway) == (PaymentStatus.COMPLETED, "sandbox")
    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]
    assert await shop.events() == [
        "payment.pending",
        "payment.processing",
        "charge.created pix.charge.created",
        "payment.processing",
        "payment.completed",
        "charge.paid pix.charge.paid",
    ]
    assert await shop.books() == {"card": -3_000, "bank": -3_000, "available": 6_000}


async def test_a_payment_paid_by_pix_takes_the_money_of_its_card_as_well(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    await shop.pays_by_card(payment, "pending")  # the provider takes five seconds

    await shop.payer_pays(charge)
    await shop.is_told()
    assert (await shop.reads(payment)).gateway == "pix"
    assert await shop.tries(payment) == [("pix", "abandoned"), ("sandbox", "unknown")]

    shop.passes(6 * SECOND)
    await flow.check_due_sessions(shop.tools)
    assert await shop.tries(payment) == [("pix", "abandoned"), ("sandbox", "paid")]
    assert await shop.reviews() == ["paid twice"]
    assert await shop.books() == {"card": -3_000, "bank": -3_000, "available": 6_000}


async def test_a_card_that_was_declined_after_all_leaves_a_payment_paid_by_pix_alone(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    shop.terminal.pays = NOBODY_KNOWS
    await shop.pays_by_card(payment)
    await shop.payer_pays(charge)
    await shop.is_told()

    shop.terminal.says = UnpaidVerdict(VerdictState.FAILED)
    shop.passes(6 * SECOND)
    await flow.check_due_sessions(shop.tools)

    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert await shop.tries(payment) == [("pix", "abandoned"), ("sandbox", "declined")]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_paid_by_pix_a_form_nobody_sent_is_closed(shop: Shop) -> None:
    payment = await shop.orders()
    charge = await shop.chooses_pix(payment)
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")

    await shop.payer_pays(charge)
    await shop.is_told()

    assert await shop.tries(payment) == [("pix", "abandoned"), ("sandbox", "abandoned")]
    with pytest.raises(Conflict):
        await flow.submit(shop.tools, payment.token, {"outcome": "paid"})


async def test_while_a_cards_outcome_is_awaited_nothing_is_cancelled_not_even_the_code(shop: Shop) -> None:
    payment = await shop.orders()
    charge = await shop.chooses_pix(payment)
    shop.terminal.pays = shop.terminal.says = NOBODY_KNOWS
    await shop.pays_by_card(payment)

    with pytest.raises(Conflict):
        await flow.cancel(shop.tools, payment.token)

    assert await shop.bank_state(charge) == "ATIVA"
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING
    assert await shop.tries(payment) == [("pix", "abandoned"), ("sandbox", "unknown")]


async def test_a_code_that_ends_ends_no_payment_whose_card_is_awaited(shop: Shop) -> None:
    removed, expired = await shop.orders("100.16"), await shop.orders("30.00")
    codes = []
    shop.terminal.pays = shop.terminal.says = NOBODY_KNOWS
    for payment in (removed, expired):
        codes.append(await shop.chooses_pix(payment))
        await shop.pays_by_card(payment)

    shop.passes(SECOND)
    await shop.rings()
    for wait in (MINUTE, 31 * MINUTE):
        shop.passes(wait)
        await shop.looks()
        await shop.expires()

    assert [await shop.state(code) for code in codes] == [State.CANCELLED, State.EXPIRED]
    for payment in (removed, expired):
        assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING
        assert (await shop.tries(payment))[-1] == ("sandbox", "unknown")

    shop.terminal.says = PaidVerdict("ref", removed.amount)
    session = await shop.db.read(lambda tx: queries.open_session(tx, removed))
    assert session is not None
    await flow.check_session(shop.tools, session)
    assert (await shop.reads(removed)).status is PaymentStatus.COMPLETED


async def test_an_hour_after_its_time_a_payment_ends_whatever_is_awaited(shop: Shop) -> None:
    payment = await shop.orders()
    await shop.chooses_pix(payment)
    shop.terminal.pays = shop.terminal.says = NOBODY_KNOWS
    await shop.pays_by_card(payment)

    shop.passes(30 * MINUTE + HOUR)
    await shop.looks()
    await shop.expires()

    assert (await shop.reads(payment)).status is PaymentStatus.EXPIRED
    assert await shop.tries(payment) == [("pix", "abandoned"), ("sandbox", "unknown")]


async def test_a_late_card_completes_a_payment_and_closes_the_code_the_payer_looks_at(shop: Shop) -> None:
    payment = await shop.orders()
    shop.terminal.pays = NOBODY_KNOWS
    await shop.pays_by_card(payment)
    shop.terminal.says = UnpaidVerdict(VerdictState.FAILED)
    shop.passes(6 * SECOND)
    await flow.check_due_sessions(shop.tools)
    await shop.chooses_pix(payment)

    [card] = await shop.rows("select id from gateway_session where gateway = 'sandbox'")
    await shop.hears_of_card(card["id"], PaidVerdict("late", payment.amount))

    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert await shop.tries(payment) == [("sandbox", "paid"), ("pix", "abandoned")]
