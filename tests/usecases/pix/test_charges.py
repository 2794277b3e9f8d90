"""The arrows of a charge, one test each, with state, ledger and event (pix-api.md §16.2)."""

import pytest

from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.errors import Refused
from opentill.payments.model import Detail, PaymentStatus
from opentill.pix.model import State
from tests.usecases.pix.shop import KEY, STRAY_KEY, Shop

CREATED = "payment.pending pix.charge.created"
PAID = "payment.completed pix.charge.paid"
MORE_PAID = "charge.paid pix.charge.paid"


async def test_c2_a_charge_the_bank_has_made_is_announced_with_its_payment(shop: Shop) -> None:
    charge = await shop.charges()

    assert charge.state is State.ACTIVE
    assert charge.code is not None
    assert (await shop.payment_of(charge)).status is PaymentStatus.PENDING
    assert await shop.events() == [CREATED]
    assert await shop.books() == {}


async def test_c2_a_charge_of_a_payment_that_was_there_before_is_announced_alone(shop: Shop) -> None:
    payment = await shop.orders()
    await shop.chooses_pix(payment)

    assert await shop.events() == ["payment.pending", "payment.processing", "charge.created pix.charge.created"]


async def test_c5_the_exact_amount_completes_charge_and_payment(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    [e2e_id] = await shop.payer_pays(charge)

    await shop.is_told()

    payment = await shop.payment_of(charge)
    assert await shop.state(charge) is State.COMPLETED
    assert (payment.status, payment.late, payment.gateway_ref) == (PaymentStatus.COMPLETED, False, e2e_id)
    assert await shop.events() == [CREATED, PAID]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


@pytest.mark.checklist("L16")
async def test_c6_another_amount_is_held_and_waits_for_a_person(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge, amount=2_999, any_amount=True)

    await shop.is_told()

    assert await shop.state(charge) is State.CONFLICTED
    assert (await shop.payment_of(charge)).detail is Detail.PENDING_REVIEW
    assert await shop.events() == [CREATED]
    assert await shop.reviews() == ["amount differs"]
    assert await shop.books() == {"bank": -2_999, "held": 2_999}


async def test_c6_another_amount_after_the_end_is_held_as_well(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    shop.passes(MINUTE)
    await shop.looks()
    await shop.payer_pays(charge, amount=1, any_amount=True, force=True)

    await shop.is_told()

    assert await shop.state(charge) is State.CONFLICTED
    assert (await shop.payment_of(charge)).status is PaymentStatus.EXPIRED
    assert await shop.books() == {"bank": -1, "held": 1}


async def test_c9_a_charge_expires_with_its_payment_after_one_last_read(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)

    shop.passes(MINUTE - 1)
    await shop.looks()
    assert await shop.state(charge) is State.ACTIVE

    shop.passes(SECOND)
    await shop.looks()
    assert await shop.state(charge) is State.EXPIRED
    assert (await shop.payment_of(charge)).status is PaymentStatus.EXPIRED
    assert await shop.events() == [CREATED, "payment.expired pix.charge.expired"]


async def test_c9_what_was_paid_in_time_and_never_told_is_found_by_the_last_read(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    await shop.payer_pays(charge, notify="never")

    shop.passes(MINUTE)
    await shop.looks()

    assert await shop.state(charge) is State.COMPLETED
    assert (await shop.payment_of(charge)).late is False
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_c10_a_charge_the_bank_removes_is_cancelled_with_its_payment(shop: Shop) -> None:
    charge = await shop.charges("100.16")  # removed by the bank after a second

    shop.passes(SECOND)
    await shop.rings()
    shop.passes(MINUTE)
    await shop.looks()

    assert await shop.state(charge) is State.CANCELLED
    assert (await shop.payment_of(charge)).status is PaymentStatus.CANCELLED
    assert await shop.events() == [CREATED, "payment.cancelled pix.charge.cancelled"]


@pytest.mark.checklist("L16")
async def test_c11_late_money_after_expiry_completes_the_payment_after_all(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    shop.passes(2 * MINUTE)
    await shop.looks()
    await shop.payer_pays(charge, force=True)

    await shop.is_told()

    payment = await shop.payment_of(charge)
    assert await shop.state(charge) is State.COMPLETED
    assert (payment.status, payment.late) == (PaymentStatus.COMPLETED, True)
    assert (await shop.events())[1:] == ["payment.expired pix.charge.expired", PAID]
    assert (await shop.documents())[-1]["receipt"]["late"] is True
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_c11_late_money_that_nobody_tells_of_is_found_by_one_more_look(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    shop.passes(2 * MINUTE)
    await shop.looks()
    await shop.payer_pays(charge, force=True, notify="never")

    shop.passes(15 * MINUTE)
    await shop.looks()

    assert await shop.state(charge) is State.COMPLETED


async def test_c12_money_that_comes_twice_is_credited_in_a_row_of_its_own(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge, count=2)

    await shop.is_told()

    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]
    assert await shop.events() == [CREATED, PAID, MORE_PAID]
    parts = [document["receipt"] for document in (await shop.documents())[1:]]
    assert parts[0]["transaction_id"] == charge.id
    assert parts[1]["transaction_id"].startswith("PIXIN20260307")
    assert parts[1]["origin"] == "repeat"
    assert await shop.books() == {"bank": -6_000, "available": 6_000}


async def test_money_without_a_charge_on_a_key_of_the_merchant_is_theirs(shop: Shop) -> None:
    await shop.pays_key(KEY, 700, label="PEDIDO42")
    await shop.pays_key(KEY, 300)  # banks say nothing of money without a label

    await shop.is_told()
    await shop.sweeps()

    assert await shop.receipts() == [("direct", "booked", 700), ("direct", "booked", 300)]
    assert await shop.events() == [MORE_PAID, MORE_PAID]
    assert await shop.books() == {"bank": -1_000, "available": 1_000}


async def test_l14_money_on_a_key_nobody_here_owns_waits_in_suspense(shop: Shop) -> None:
    await shop.pays_key(STRAY_KEY, 700, label="PEDIDO42")

    await shop.is_told()

    assert await shop.receipts() == [("direct", "suspense", 700)]
    assert await shop.events() == []
    assert await shop.reviews() == ["nobody owns the key it was paid to"]
    assert await shop.books() == {"bank": -700, "suspense": 700}


async def test_a_charge_of_a_merchant_that_was_paid_to_another_key_is_still_that_charge(shop: Shop) -> None:
    charge = await shop.charges("7.00")
    await shop.pays_key(STRAY_KEY, 700, label=charge.id)

    await shop.is_told()

    assert await shop.state(charge) is State.COMPLETED


async def test_an_hour_of_looks_changes_nothing_on_a_charge_nobody_pays(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=2 * 3_600)

    for _ in range(6):
        shop.passes(HOUR // 6)
        await shop.looks()

    assert await shop.state(charge) is State.ACTIVE
    assert await shop.events() == [CREATED]


async def test_a_payment_gets_another_code_once_its_own_has_expired_and_late_money_still_counts(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    first = await shop.chooses_pix(payment)
    assert (await shop.chooses_pix(payment)).id == first.id
    await shop.run("update pix_charge set state = 'cancelled', next_check_at = null")
    second = await shop.chooses_pix(payment)
    assert second.id != first.id
    assert (await shop.chooses_pix(payment)).id == second.id

    await shop.payer_pays(first)
    await shop.is_told()
    await shop.payer_pays(second)
    await shop.is_told()
    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]
    assert await shop.books() == {"bank": -6_000, "available": 6_000}


async def test_a_refused_code_is_followed_by_another(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    await shop.fault("charge.create", "http_400")
    with pytest.raises(Refused):
        await shop.chooses_pix(payment)
    assert (await shop.chooses_pix(payment)).state is State.ACTIVE
