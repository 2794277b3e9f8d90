"""Which fee rule counts, and what each kind of rule comes to (merchant-api.md §6.3)."""

import json
from typing import Any

import pytest

from opentill.db import Database, Tx, UniqueViolation
from opentill.kernel.money import currency, parse, render
from opentill.merchants.fees import fee_of
from opentill.merchants.model import Merchant
from tests.make import Scene

# From the most specific to the least: whose, through what, in what.
RANKS = (
    (True, "sandbox", "USD"),
    (True, "sandbox", None),
    (True, None, "USD"),
    (True, None, None),
    (False, "sandbox", "USD"),
    (False, "sandbox", None),
    (False, None, "USD"),
    (False, None, None),
)


def add(tx: Tx, merchant: Merchant | None, gateway: str | None = None, code: str | None = None, **price: Any) -> None:
    columns = {
        "fixed_units": 0,
        "basis_points": 0,
        "joined": "sum",
        "tiers": None,
        "min_units": None,
        "max_units": None,
        "active": 1,
    } | price
    tx.run(
        f"""
        insert into fee_rule (merchant_id, gateway, currency, {", ".join(columns)}, created_at)
        values (:merchant_id, :gateway, :currency, {", ".join(f":{name}" for name in columns)}, 0)
        """,
        merchant_id=merchant.id if merchant else None,
        gateway=gateway,
        currency=code,
        **columns,
    )


async def fee(database: Database, merchant: Merchant, amount: str, code: str = "USD", gateway: str = "sandbox") -> str:
    money = parse(amount, currency(code))
    return render(await database.read(lambda tx: fee_of(tx, money, gateway=gateway, owner=merchant.owner)))


@pytest.fixture
async def merchant(database: Database) -> Merchant:
    return await database.write(Scene().merchant)


@pytest.mark.checklist("M55")
@pytest.mark.parametrize("best", range(len(RANKS)))
async def test_the_most_specific_rule_wins(database: Database, merchant: Merchant, best: int) -> None:
    def rules(tx: Tx) -> None:
        for place, (own, gateway, code) in reversed([*enumerate(RANKS)][best:]):
            add(tx, merchant if own else None, gateway, code, basis_points=100 * (place + 1))

    await database.write(rules)

    assert await fee(database, merchant, "100.00") == f"{best + 1}.00"


async def test_rules_of_others_and_inactive_ones_do_not_count(database: Database, merchant: Merchant) -> None:
    other = await database.write(lambda tx: Scene(8).merchant(tx, "Loja Verde"))

    def rules(tx: Tx) -> None:
        add(tx, other, basis_points=500)
        add(tx, merchant, "pix", basis_points=500)
        add(tx, merchant, None, "BRL", basis_points=500)
        add(tx, merchant, basis_points=500, active=0)

    await database.write(rules)

    assert await fee(database, merchant, "100.00") == "0.00"


@pytest.mark.checklist("M55")
async def test_two_rules_of_equal_rank_cannot_both_be_active(database: Database, merchant: Merchant) -> None:
    await database.write(lambda tx: add(tx, merchant, "sandbox", basis_points=100))

    with pytest.raises(UniqueViolation):
        await database.write(lambda tx: add(tx, merchant, "sandbox", basis_points=200))


TIERS = json.dumps([[100_000, 5_000, 0], [1_000_000, 0, 200], [None, 0, 100]])


@pytest.mark.checklist("M55")
@pytest.mark.parametrize(
    ("price", "amount", "told"),
    [
        ({"fixed_units": 3_000}, "100.00", "0.30"),
        ({"fixed_units": 3_000}, "0.20", "0.20"),  # never more than the amount
        ({"basis_points": 290}, "100.00", "2.90"),
        ({"basis_points": 250}, "0.20", "0.01"),  # half a cent counts as one
        ({"basis_points": 249}, "0.20", "0.00"),
        ({"fixed_units": 3_000, "basis_points": 290}, "100.00", "3.20"),
        ({"fixed_units": 3_000, "basis_points": 290, "joined": "greater"}, "100.00", "2.90"),
        ({"fixed_units": 3_000, "basis_points": 290, "joined": "greater"}, "1.00", "0.30"),
        ({"basis_points": 100, "min_units": 5_000}, "1.00", "0.50"),
        ({"basis_points": 100, "max_units": 5_000}, "100.00", "0.50"),
        ({"tiers": TIERS}, "10.00", "0.50"),
        ({"tiers": TIERS}, "10.01", "0.20"),
        ({"tiers": TIERS}, "100.00", "2.00"),
        ({"tiers": TIERS}, "100.01", "1.00"),
        ({"tiers": json.dumps([[100_000, 5_000, 0]])}, "10.01", "0.00"),  # beyond every tier
    ],
)
async def test_a_rule_comes_to(
    database: Database, merchant: Merchant, price: dict[str, Any], amount: str, told: str
) -> None:
    await database.write(lambda tx: add(tx, merchant, None, "USD", **price))

    assert await fee(database, merchant, amount) == told
