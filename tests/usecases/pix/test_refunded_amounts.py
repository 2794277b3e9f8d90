"""PIX gives back what the receipt holds, whatever the payment was asked in (pix-api.md §12.5, §16.4; ADR 12)."""

import pytest

from opentill.kernel.clock import SECOND
from opentill.kernel.errors import Refused
from opentill.kernel.money import Money, currency, parse
from opentill.payments import conversion, service
from opentill.payments.model import Detail, Order, Payment
from opentill.payments.review import decisions
from opentill.payments.review.decisions import Actor
from opentill.pix.model import BRL, Charge
from tests.usecases.pix.shop import Shop

pytestmark = pytest.mark.anyio
DOLLARS = currency("USD")
BOSS = Actor("operator:1", "127.0.0.1", may_override=True)


async def paid_in_dollars(shop: Shop) -> Charge:
    """Return the charge of ten dollars that were paid with 55 reais."""
    now = shop.clock.now()
    await shop.db.write(lambda tx: conversion.set_rate(tx, "USD", "BRL", "5.5", source="feed", now=now))
    order = Order(parse("10.00", DOLLARS))
    made = await shop.db.write(
        lambda tx: service.create(
            tx, order, merchant=shop.merchant, ids=shop.scene.ids, keyring=shop.scene.keyring, now=now
        )
    )
    charge = await shop.chooses_pix(await shop.reads(made))
    await shop.payer_pays(charge)
    await shop.is_told()
    return charge


async def paid_short(shop: Shop) -> Charge:
    """Return a charge of a hundred reais for which a person accepted ninety."""
    charge = await shop.charges("100.00")
    await shop.payer_pays(charge, amount=9_000, any_amount=True)
    await shop.is_told()
    (item,) = await shop.rows("select id from review_item")
    owner, keyring, now = shop.merchant.owner, shop.scene.keyring, shop.clock.now()
    await shop.db.write(lambda tx: decisions.claim(tx, item["id"], owner=owner, by=BOSS, keyring=keyring, now=now))
    await shop.db.write(
        lambda tx: decisions.approve(
            tx, item["id"], owner=owner, by=BOSS, seen=Money(900_000, BRL), reason="a discount", ids=shop.scene.ids,
            keyring=keyring, now=now,
        )
    )  # fmt: skip
    return charge


async def returned_at_the_bank(shop: Shop, centavos: int) -> None:
    """Give money back in the bank's own app, and hear of it again and again."""
    (receipt,) = await shop.rows("select ref from receipt")
    await shop.sim("returns", {"e2e_id": receipt["ref"], "amount": centavos, "nature": "ORIGINAL"})
    for _ in range(3):
        await shop.sweeps()
        await shop.is_told()
        await shop.asks_about_refunds(after_us=31 * SECOND)


async def refunds(shop: Shop) -> list[tuple[str, int, int]]:
    """Return status, payment's and receipt's units of all refunds."""
    found = await shop.rows("select status, units, charge_units from refund order by id")
    return [(row["status"], row["units"], row["charge_units"]) for row in found]


async def left_the_bank(shop: Shop) -> int:
    """Return the centavos that went back, as the bank has it."""
    (receipt,) = await shop.rows("select ref from receipt")
    _, account = await shop.hook()
    found = await shop.tools.receiver(account).get_receipt(receipt["ref"])
    assert found is not None
    return sum(came.amount_centavos for came in found.returns)


async def payment_of(shop: Shop, charge: Charge) -> Payment:
    return await shop.payment_of(charge)


@pytest.mark.parametrize("centavos", [550, 1_234, 5_500])
async def test_a_return_at_the_bank_of_a_converted_payment_is_booked_as_it_left(shop: Shop, centavos: int) -> None:
    charge = await paid_in_dollars(shop)

    await returned_at_the_bank(shop, centavos)

    dollars = (1_000 * centavos * 2 + 5_500) // (2 * 5_500) * 100
    assert await refunds(shop) == [("completed", dollars, centavos * 100)]
    assert await left_the_bank(shop) == centavos
    left = 5_500 - centavos
    assert await shop.books() == ({"bank": -left, "available": left} if left else {})
    assert ((await payment_of(shop, charge)).detail is Detail.REFUNDED) == (not left)


async def test_a_return_at_the_bank_of_an_accepted_amount_is_never_sent_again(shop: Shop) -> None:
    charge = await paid_short(shop)

    await returned_at_the_bank(shop, 4_500)

    assert await refunds(shop) == [("completed", 500_000, 450_000)]
    assert await left_the_bank(shop) == 4_500
    assert await shop.books() == {"bank": -4_500, "available": 4_500}
    assert (await payment_of(shop, charge)).refunded.units == 500_000


async def test_the_rail_refunds_reais_also_of_a_payment_in_dollars(shop: Shop) -> None:
    charge = await paid_in_dollars(shop)

    refund = await shop.gives_back(charge.id, "11.00")
    assert (refund.charge, refund.amount) == (parse("11.00", BRL), parse("2.00", DOLLARS))
    with pytest.raises(Refused, match="exceeds"):
        await shop.gives_back(charge.id, "44.01")
    rest = await shop.gives_back(charge.id, "44.00")
    assert (rest.charge, rest.amount) == (parse("44.00", BRL), parse("8.00", DOLLARS))
    for _ in range(3):
        await shop.asks_about_refunds(after_us=31 * SECOND)

    assert await left_the_bank(shop) == 5_500
    assert await shop.books() == {}
    assert (await payment_of(shop, charge)).detail is Detail.REFUNDED


async def test_money_that_waits_and_goes_back_at_the_bank_waits_no_longer(shop: Shop) -> None:
    charge = await shop.charges("100.00")
    await shop.payer_pays(charge, amount=9_000, any_amount=True)
    await shop.is_told()
    assert await shop.books() == {"bank": -9_000, "held": 9_000}

    await returned_at_the_bank(shop, 9_000)

    assert await refunds(shop) == [("completed", 900_000, 900_000)]
    assert await shop.books() == {}


async def test_a_part_of_money_that_waits_is_for_a_person(shop: Shop) -> None:
    charge = await shop.charges("100.00")
    await shop.payer_pays(charge, amount=9_000, any_amount=True)
    await shop.is_told()

    await returned_at_the_bank(shop, 1_000)

    assert await refunds(shop) == []
    assert "part of money that waits went back" in await shop.reviews()
    assert await shop.books() == {"bank": -9_000, "held": 9_000}
