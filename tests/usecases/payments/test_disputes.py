"""Disputes hold the merchant's money, and what they lose cannot be refunded any more."""

import pytest

from opentill.db import Database
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.kernel.owner import Owner
from opentill.payments.disputes import service as disputes
from opentill.payments.disputes.model import Dispute, DisputeStatus
from opentill.payments.model import Detail, Payment, PaymentStatus
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds.rules import RefundRefused
from opentill.payments.refunds.service import Wish
from opentill.payments.verification import find_faults
from tests.usecases.payments.shop import Shop, open_shop


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await open_shop(database)


async def contests(shop: Shop, payment: Payment, units: int | None = None, ref: str | None = None) -> Dispute:
    tools = shop.tools
    return await tools.db.write(
        lambda tx: disputes.open_dispute(
            tx,
            payment.id,
            owner=payment.owner,
            units=units,
            reason="fraudulent",
            ref=ref,
            ids=tools.ids,
            keyring=tools.keyring,
            now=tools.clock.now(),
        )
    )


async def ends(shop: Shop, dispute: Dispute, status: DisputeStatus) -> Dispute:
    tools, owner = shop.tools, dispute.owner
    return await tools.db.write(
        lambda tx: disputes.resolve(
            tx, dispute.uuid, status, owner=owner, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now()
        )
    )


async def answers(shop: Shop, dispute: Dispute) -> Dispute:
    tools, owner = shop.tools, dispute.owner
    return await tools.db.write(
        lambda tx: disputes.send_evidence(
            tx, dispute.uuid, "signed for", owner=owner, keyring=tools.keyring, now=tools.clock.now()
        )
    )


async def test_an_open_dispute_holds_the_money_and_leaves_the_payment_completed(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"))

    dispute = await contests(shop, payment)

    assert (dispute.status, dispute.amount) == (DisputeStatus.OPEN, payment.amount)
    assert await shop.balances() == {"clearing": -100_000, "held": 100_000}
    read = await shop.reads(payment)
    assert (read.status, read.detail, read.disputed) == (PaymentStatus.COMPLETED, Detail.COMPLETED, True)
    assert (await shop.events())[-1] == "dispute.created"


@pytest.mark.parametrize("status", [DisputeStatus.WON, DisputeStatus.CLOSED])
async def test_what_is_won_or_closed_is_the_merchants_again(shop: Shop, status: DisputeStatus) -> None:
    payment = await shop.pays(await shop.orders("10.00"))
    dispute = await answers(shop, await contests(shop, payment))
    assert dispute.status is DisputeStatus.UNDER_REVIEW

    await ends(shop, dispute, status)

    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}
    assert not (await shop.reads(payment)).disputed
    assert (await shop.events())[-2:] == ["dispute.created", "dispute.resolved"]


async def test_what_is_lost_goes_back_and_cannot_be_refunded_any_more(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"))

    await ends(shop, await contests(shop, payment, 40_000), DisputeStatus.LOST)

    assert await shop.balances() == {"clearing": -60_000, "available": 60_000}
    assert (await shop.reads(payment)).refundable.units == 60_000
    with pytest.raises(RefundRefused):
        await refund_flow.give_back(shop.tools, payment.id, Wish(shop.tools.ids.uuid7(), 60_100), owner=payment.owner)
    await refund_flow.give_back(shop.tools, payment.id, Wish(shop.tools.ids.uuid7()), owner=payment.owner)
    assert await shop.balances() == {}
    assert await shop.tools.db.read(lambda tx: list(find_faults(tx))) == []


async def test_an_end_is_final_and_repeating_it_changes_nothing(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"))
    dispute = await contests(shop, payment, ref="dp_1")
    await ends(shop, dispute, DisputeStatus.LOST)

    assert (await ends(shop, dispute, DisputeStatus.LOST)).status is DisputeStatus.LOST
    assert (await contests(shop, payment, ref="dp_1")).uuid == dispute.uuid
    for status in (DisputeStatus.WON, DisputeStatus.OPEN):
        with pytest.raises(Conflict):
            await ends(shop, dispute, status)
    with pytest.raises(Conflict):
        await answers(shop, dispute)

    assert (await shop.events()).count("dispute.resolved") == 1
    assert await shop.tools.db.read(lambda tx: list(find_faults(tx))) == []


async def test_only_money_that_came_is_disputed_and_only_its_merchant_finds_it(shop: Shop) -> None:
    pending, payment = await shop.orders("10.00"), await shop.pays(await shop.orders("10.00"))
    dispute = await contests(shop, payment)

    with pytest.raises(Conflict):
        await contests(shop, pending)
    for units in (0, -100, 100_100):
        with pytest.raises(Invalid):
            await contests(shop, payment, units)
    stranger = Owner(payment.owner.merchant_id + 1, payment.owner.mode)
    tools = shop.tools
    with pytest.raises(NotFound):
        await tools.db.write(
            lambda tx: disputes.resolve(
                tx,
                dispute.uuid,
                DisputeStatus.WON,
                owner=stranger,
                ids=tools.ids,
                keyring=tools.keyring,
                now=tools.clock.now(),
            )
        )


async def test_a_dispute_of_what_was_refunded_takes_the_balance_below_zero(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"))
    await refund_flow.give_back(shop.tools, payment.id, Wish(shop.tools.ids.uuid7()), owner=payment.owner)

    dispute = await contests(shop, payment)

    assert await shop.balances() == {"available": -100_000, "held": 100_000}
    await ends(shop, dispute, DisputeStatus.LOST)
    assert (await shop.reads(payment)).refundable.units == 0
    assert await shop.tools.db.read(lambda tx: list(find_faults(tx))) == []
