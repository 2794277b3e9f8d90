"""A gateway that takes another currency: the rate is fixed with the try, and merchants see what they asked for."""

from typing import Any

import pytest

from opentill.db import Database
from opentill.gateways.port import PaidVerdict
from opentill.kernel.clock import DAY, HOUR
from opentill.kernel.errors import Conflict, Invalid
from opentill.kernel.money import Money, currency, parse
from opentill.ledger import verification as books
from opentill.merchants import options
from opentill.payments import conversion, flow
from opentill.payments.model import Detail, Payment, PaymentStatus
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.verification import find_faults
from tests.usecases.payments.shop import Shop, open_shop

BDT = currency("BDT")


@pytest.fixture
async def shop(database: Database) -> Shop:
    """A shop whose card gateway takes taka only, with a rate for dollars."""
    shop = await open_shop(database)
    await database.write(lambda tx: tx.run("update merchant_gateway set currency = 'BDT'"))
    await rates(shop, "110.25")
    return shop


async def rates(shop: Shop, rate: str, source: Any = "feed") -> None:
    now = shop.tools.clock.now()
    await shop.tools.db.write(lambda tx: conversion.set_rate(tx, "USD", "BDT", rate, source=source, now=now))


async def in_books(shop: Shop) -> dict[tuple[str, str], int]:
    rows = await shop.tools.db.read(
        lambda tx: tx.all("select kind, currency, balance_units as units from ledger_account where balance_units <> 0")
    )
    return {(row["kind"], row["currency"]): row["units"] for row in rows}


async def audited(shop: Shop) -> list[str]:
    return await shop.tools.db.read(lambda tx: [*books.find_faults(tx), *find_faults(tx)])


async def refunded(shop: Shop, payment: Payment, amount: str | None = None) -> Any:
    units = parse(amount, payment.amount.currency).units if amount else None
    wish = refund_flow.Wish(shop.tools.ids.uuid7(), units)
    return await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)


async def test_the_gateway_charges_its_own_currency_and_the_merchant_sees_what_was_asked(shop: Shop) -> None:
    payment = await shop.orders("100.00", "USD")

    paid = await shop.pays(payment, "paid")

    assert (paid.status, paid.amount) == (PaymentStatus.COMPLETED, parse("100.00", currency("USD")))
    assert paid.charge is not None
    assert (paid.charge.amount, paid.charge.rate) == (parse("11025.00", BDT), "110.25")
    assert await in_books(shop) == {("clearing", "BDT"): -110_250_000, ("available", "BDT"): 110_250_000}
    assert await audited(shop) == []


async def test_the_fee_is_of_the_amount_asked_and_booked_in_the_currency_that_came(shop: Shop) -> None:
    await shop.tools.db.write(
        lambda tx: tx.run(
            "insert into fee_rule (currency, fixed_units, basis_points, created_at) values ('USD', 3000, 290, 0)"
        )
    )
    paid = await shop.pays(await shop.orders("100.00", "USD"), "paid")

    assert paid.fee == parse("3.20", currency("USD"))
    fee = parse("352.80", BDT).units
    assert await in_books(shop) == {
        ("clearing", "BDT"): -110_250_000,
        ("available", "BDT"): 110_250_000 - fee,
        ("fees", "BDT"): fee,
    }
    await refunded(shop, paid, "33.33")
    await refunded(shop, paid)
    assert await in_books(shop) == {}
    assert await audited(shop) == []


async def test_parts_that_go_back_are_converted_at_the_same_rate_and_the_last_takes_the_rest(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("1.00", "USD"), "paid")
    await rates(shop, "99")

    parts = [await refunded(shop, payment, "0.33") for _ in range(3)] + [await refunded(shop, payment)]

    assert [part.charge.units for part in parts] == [363_800, 363_800, 363_800, 11_100]
    assert (await shop.reads(payment)).detail is Detail.REFUNDED
    assert await in_books(shop) == {}
    assert await audited(shop) == []


async def test_an_amount_that_differs_from_the_charge_waits_for_a_person(shop: Shop) -> None:
    payment = await shop.orders("100.00", "USD")

    parked = await shop.pays(payment, "short")

    assert parked.detail is Detail.PENDING_REVIEW
    assert await in_books(shop) == {("clearing", "BDT"): -110_249_900, ("held", "BDT"): 110_249_900}


async def test_the_asked_amount_in_the_wrong_currency_is_no_payment(shop: Shop) -> None:
    payment = await shop.orders("100.00", "USD")
    shop.terminal.pays = PaidVerdict("ref", payment.amount)

    parked = await shop.pays(payment, "paid")

    assert parked.detail is Detail.PENDING_REVIEW
    assert await in_books(shop) == {("clearing", "USD"): -1_000_000, ("held", "USD"): 1_000_000}


async def test_the_rate_is_the_one_of_the_try_however_it_moves(shop: Shop) -> None:
    payment = await shop.orders("100.00", "USD")
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")
    await rates(shop, "50")

    paid = await flow.submit(shop.tools, payment.token, {"outcome": "paid"})

    assert paid.charge is not None
    assert paid.charge.rate == "110.25"


async def test_a_rate_of_yesterday_is_not_used(shop: Shop) -> None:
    payment = await shop.orders("100.00", "USD", expires_in_s=10 * 24 * 3600)
    shop.scene.clock.advance(DAY - HOUR)
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")
    other = await shop.orders("100.00", "USD")

    shop.scene.clock.advance(HOUR)
    with pytest.raises(Conflict):
        await flow.choose_gateway(shop.tools, other.token, "sandbox")


async def test_an_operators_rate_goes_first_and_a_mark_up_on_top(shop: Shop) -> None:
    await rates(shop, "100", "operator")
    owner = shop.merchant.owner
    await shop.tools.db.write(lambda tx: options.change(tx, {"fx_markup_basis_points": 250}, owner=owner))

    payment, _, _ = await flow.choose_gateway(shop.tools, (await shop.orders("10.00", "USD")).token, "sandbox")

    assert payment.charge is not None
    assert (payment.charge.rate, payment.charge.amount) == ("102.5", parse("1025.00", BDT))


async def test_a_gateway_with_limits_does_not_take_what_lies_beyond(shop: Shop) -> None:
    await shop.tools.db.write(lambda tx: tx.run("update merchant_gateway set min_units = 100000, max_units = 200000"))

    for amount in ("9.99", "20.01"):
        payment = await shop.orders(amount, "BDT")
        with pytest.raises(Conflict):
            await flow.choose_gateway(shop.tools, payment.token, "sandbox")
    assert (await shop.pays(await shop.orders("20.00", "BDT"), "paid")).status is PaymentStatus.COMPLETED


@pytest.mark.parametrize("rate", ["0", "-1", "1e3", "1.2.3", "", "1234567890123"])
async def test_what_is_no_rate_is_refused(shop: Shop, rate: str) -> None:
    with pytest.raises(Invalid):
        await rates(shop, rate)


def test_a_part_of_less_than_the_smallest_unit_converts_to_nothing() -> None:
    assert Money(100, BDT).at("0.001", currency("USD")).units == 0
    assert Money(500, BDT).at("0.1", currency("USD")).units == 100
