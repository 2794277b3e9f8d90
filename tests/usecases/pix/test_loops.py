"""The loops: one bank, one charge or one receipt that cannot be dealt with keeps nothing else waiting."""

import pytest

from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND
from opentill.payments.model import PaymentStatus
from opentill.payments.pix import flow as pix_flow
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import Charge, State
from tests.usecases.pix.shop import KEY, Shop


async def test_a_charge_expires_an_hour_after_its_time_although_its_bank_is_away(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    await shop.fault("charge.read", "http_503", count=1_000)

    shop.passes(MINUTE)
    await shop.looks()
    assert await shop.state(charge) is State.ACTIVE

    shop.passes(HOUR)
    await shop.looks()
    assert await shop.state(charge) is State.EXPIRED
    assert (await shop.payment_of(charge)).status is PaymentStatus.EXPIRED


async def test_a_bank_that_is_away_is_asked_about_a_charge_once_a_minute(shop: Shop) -> None:
    await shop.charges(expires_in_s=60)
    await shop.fault("charge.read", "http_503", count=1_000)
    asked = 0

    async def counts() -> None:
        nonlocal asked
        asked += 1

    shop.passes(MINUTE)
    for _ in range(120):
        shop.before["get_charge"] = counts
        await shop.looks()
        shop.passes(SECOND)
    assert asked in (2, 3)


async def test_a_charge_the_bank_has_forgotten_expires_in_its_time(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    await shop.sim("reset", {})

    shop.passes(MINUTE)
    await shop.looks()

    assert await shop.state(charge) is State.EXPIRED


async def test_what_is_paid_while_the_last_look_is_under_way_is_not_late(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=86_400)

    async def paid_at_the_last_moment() -> None:
        shop.passes(DAY - 8 * MINUTE - SECOND)
        await shop.payer_pays(charge, notify="never")
        shop.passes(2 * SECOND)

    shop.passes(8 * MINUTE)  # the first looks at the charge
    shop.after["get_charge"] = paid_at_the_last_moment
    await shop.looks()
    assert await shop.state(charge) is State.ACTIVE

    shop.passes(MINUTE)
    await shop.looks()
    assert await shop.state(charge) is State.COMPLETED
    assert (await shop.payment_of(charge)).late is False


async def test_the_look_after_the_end_is_made_up_for_when_the_bank_was_away(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    shop.passes(MINUTE)
    await shop.looks()
    await shop.payer_pays(charge, force=True, notify="never")
    await shop.fault("charge.read", "http_503")

    for _ in range(2):
        shop.passes(15 * MINUTE)
        await shop.looks()

    assert await shop.state(charge) is State.COMPLETED


async def test_one_receipt_that_cannot_be_booked_keeps_no_other_of_a_sweep_waiting(shop: Shop) -> None:
    charges = [await shop.charges(expires_in_s=86_400) for _ in range(3)]
    for charge in charges:
        await shop.payer_pays(charge, notify="never")
    await shop.db.write(
        lambda tx: tx.run("update payment set currency = '???' where id = :id", id=charges[1].payment_id)
    )

    with pytest.raises(ExceptionGroup):
        await shop.sweeps()
    assert [await shop.state(charge) for charge in charges] == [State.COMPLETED, State.ACTIVE, State.COMPLETED]

    await repairs(shop)
    shop.passes(DAY)
    await shop.sweeps()
    assert await shop.state(charges[1]) is State.COMPLETED


async def test_one_charge_that_cannot_be_looked_at_is_put_off(shop: Shop) -> None:
    faulty, other = [await shop.charges(expires_in_s=60) for _ in range(2)]
    await damages(shop, faulty)
    shop.passes(MINUTE)

    with pytest.raises(ExceptionGroup):
        await shop.looks()
    assert await pix_flow.look_at_due(shop.tools) == 0
    assert await shop.state(other) is State.EXPIRED

    await repairs(shop)
    shop.passes(MINUTE)
    await shop.looks()
    assert await shop.state(faulty) is State.EXPIRED


async def test_one_hint_that_cannot_be_confirmed_is_put_off(shop: Shop) -> None:
    charge = await shop.charges()
    await shop.payer_pays(charge)
    await damages(shop, charge)

    with pytest.raises(ExceptionGroup):
        await shop.is_told()
    assert await pix_flow.confirm_due_hints(shop.tools) == 0

    await repairs(shop)
    shop.passes(2 * SECOND)
    await pix_flow.confirm_due_hints(shop.tools)
    assert await shop.state(charge) is State.COMPLETED


async def test_more_accounts_than_fit_a_batch_are_all_swept_although_their_bank_is_away(shop: Shop) -> None:
    accounts = await shop.opens_accounts(pix_flow.BATCH)
    await shop.fault("sweep.read", "http_503", client_id=accounts[0], count=10)
    await shop.pays_key(KEY, 500)

    await shop.sweeps()
    await shop.sweeps()

    left = await shop.rows("select id from pix_account where swept_until_at < :now", now=shop.clock.now() - 5 * MINUTE)
    assert len(left) == 1
    assert await shop.receipts() == [("direct", "booked", 500)]


async def test_a_month_nobody_looked_is_swept_bit_by_bit_and_completely(shop: Shop) -> None:
    paid = 0
    for day in range(30):
        shop.passes(DAY)
        await shop.pays_key(KEY, day + 1)
        paid += day + 1

    shop.passes(MINUTE)
    for _ in range(130):
        await pix_flow.sweep(shop.tools)

    assert (await shop.books())["available"] == paid


async def test_a_clock_that_was_ahead_for_a_while_leaves_no_gap(shop: Shop) -> None:
    await shop.sweeps()
    shop.passes(DAY)
    await shop.sweeps()
    shop.passes(-DAY)
    charge = await shop.charges(expires_in_s=86_400)
    await shop.payer_pays(charge, notify="never")

    await shop.sweeps()

    assert await shop.state(charge) is State.COMPLETED


async def test_a_sweep_reads_page_after_page(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=86_400)
    for _ in range(3):
        await shop.sim("pay", {"txid": provider_txid(charge.id), "count": 70, "notify": "never", "force": True})

    await shop.sweeps()

    assert len(await shop.receipts()) == 210
    assert (await shop.books())["available"] == 210 * 3_000


async def damages(shop: Shop, charge: Charge) -> None:
    """Make a charge's payment one that nobody can read."""
    await shop.db.write(lambda tx: tx.run("update payment set currency = '???' where id = :id", id=charge.payment_id))


async def repairs(shop: Shop) -> None:
    await shop.db.write(lambda tx: tx.run("update payment set currency = 'BRL'"))
