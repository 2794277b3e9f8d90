"""Cancelling a payment whose PIX code is out: the bank is asked first, and money that was faster wins."""

import pytest

from opentill.kernel.clock import MINUTE
from opentill.kernel.errors import Busy, Conflict
from opentill.payments import flow
from opentill.payments.model import PaymentStatus
from opentill.pix.model import State
from tests.usecases.pix.shop import Died, Shop, die

CANCELLED = "payment.cancelled pix.charge.cancelled"
PAID = "payment.completed pix.charge.paid"


async def test_c10_a_payer_who_cancels_has_the_code_removed_at_the_bank(shop: Shop) -> None:
    payment = await shop.orders()
    charge = await shop.chooses_pix(payment)

    cancelled = await flow.cancel(shop.tools, payment.token)

    assert cancelled.status is PaymentStatus.CANCELLED
    assert await shop.state(charge) is State.CANCELLED
    assert await shop.bank_state(charge) == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert (await shop.events())[-1] == CANCELLED
    assert await shop.tries(payment) == [("pix", "abandoned")]


@pytest.mark.checklist("L16")
async def test_money_that_was_faster_than_the_cancel_wins(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    await shop.payer_pays(charge, notify="never")

    paid = await flow.cancel(shop.tools, payment.token)

    assert paid.status is PaymentStatus.COMPLETED
    assert paid.late is False
    assert (await shop.events())[-1] == PAID
    with pytest.raises(Conflict):
        await flow.cancel(shop.tools, payment.token)


async def test_a_cancel_whose_answer_is_lost_is_what_the_bank_made_of_it(shop: Shop) -> None:
    carried_out, not_carried_out = await shop.orders(), await shop.orders()
    codes = [await shop.chooses_pix(payment) for payment in (carried_out, not_carried_out)]

    await shop.fault("charge.cancel", "timeout_after")
    assert (await flow.cancel(shop.tools, carried_out.token)).status is PaymentStatus.CANCELLED

    await shop.fault("charge.cancel", "timeout_before")
    assert (await flow.cancel(shop.tools, not_carried_out.token)).status is PaymentStatus.PROCESSING
    assert await shop.state(codes[1]) is State.ACTIVE
    assert (await flow.cancel(shop.tools, not_carried_out.token)).status is PaymentStatus.CANCELLED


async def test_while_the_bank_takes_no_calls_nothing_is_cancelled(shop: Shop) -> None:
    payment = await shop.orders()
    charge = await shop.chooses_pix(payment)
    await shop.fault("charge.cancel", "http_429")

    with pytest.raises(Busy):
        await flow.cancel(shop.tools, payment.token)

    assert await shop.state(charge) is State.ACTIVE
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING


async def test_c11_late_money_after_a_cancel_completes_the_payment_after_all(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    await flow.cancel(shop.tools, payment.token)
    await shop.payer_pays(charge, force=True)

    await shop.is_told()

    late = await shop.reads(payment)
    assert (late.status, late.late) == (PaymentStatus.COMPLETED, True)
    assert await shop.state(charge) is State.COMPLETED
    assert (await shop.events())[-2:] == [CANCELLED, PAID]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_a_cancel_whose_process_died_is_finished_by_the_next_look(shop: Shop) -> None:
    payment = await shop.orders()
    charge = await shop.chooses_pix(payment)
    shop.after["cancel_charge"] = die
    with pytest.raises(Died):
        await flow.cancel(shop.tools, payment.token)
    await shop.starts_again()
    assert await shop.state(charge) is State.ACTIVE

    shop.passes(MINUTE)
    await shop.looks()

    assert await shop.state(charge) is State.CANCELLED
    assert (await shop.reads(payment)).status is PaymentStatus.CANCELLED
