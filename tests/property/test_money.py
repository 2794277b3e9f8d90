"""Money adds up: fees of every kind of rule, parts of refunds, conversion, and what is written and read (bar C11)."""

import ast
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Final

import pytest

from opentill.gateways.port import RefundTerms
from opentill.kernel.clock import Instant
from opentill.kernel.currencies import EXPONENTS
from opentill.kernel.mode import Mode
from opentill.kernel.money import UNITS_PER_MINOR, Currency, MalformedAmountError, Money, currency, parse, render
from opentill.kernel.owner import Owner
from opentill.merchants.fees import fee_by
from opentill.merchants.model import FeeRule, Tier
from opentill.payments.model import BookedReceipt, Conversion, Payment
from opentill.payments.refunds.rules import RefundRefused, Target, agree, shares
from opentill.payments.rules import fee_at_gateway
from tests.property.orders import completed_payment

SOURCE: Final = Path(__file__).parents[2] / "src" / "opentill"
BY_EXPONENT: Final = [
    [currency(code) for code, exponent in EXPONENTS.items() if exponent == wanted] for wanted in (0, 2, 3, 4)
]
NOW: Final = Instant(0)
WHOLE: Final = 10_000


@pytest.mark.bar("C11", gate=2_000, target=100_000, quick=400, part="fees")
def test_a_fee_is_what_its_rule_says_to_the_unit(bar_size: int, bar_seed: int) -> None:
    chance = Random(bar_seed)
    for _ in range(bar_size):
        amount, exact = some_amount(chance), chance.random() < 0.5
        rule = some_rule(chance)

        fee = fee_by(rule, amount, exact=exact)

        assert fee.units == slow_fee(rule, amount, exact=exact), (rule, amount)
        assert 0 <= fee.units <= amount.units


@pytest.mark.bar("C11", gate=2_000, target=100_000, quick=400, part="refunds")
def test_parts_of_a_refund_add_up_to_the_whole_at_every_place(
    bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    chance, parts = Random(bar_seed), 0
    for _ in range(bar_size):
        payment, receipt = some_payment(chance)
        whole = receipt
        fee_given = Money(0, receipt.amount.currency)
        while payment.refundable.units:
            wanted = some_part(chance, payment.refundable)
            target = Target(receipt, payment)
            amount = agree(target, wanted, terms=RefundTerms(), now=NOW)
            part = shares(target, amount, fee_given=fee_given, fee_back=True)
            assert part.charge.units >= 0
            payment = replace(payment, refunding=payment.refunding + part.amount)
            receipt = replace(receipt, refunding=receipt.refunding + part.charge)
            fee_given += part.fee
            parts += 1
        assert receipt.refunding == whole.amount
        assert fee_given == whole.fee
        with pytest.raises(RefundRefused):
            agree(Target(receipt, payment), None, terms=RefundTerms(), now=NOW)
    bar_note(f"{parts} parts of {bar_size} payments")


@pytest.mark.bar("C11", gate=2_000, target=100_000, quick=400, part="conversion")
def test_conversion_rounds_half_up_to_the_minor_unit(bar_size: int, bar_seed: int) -> None:
    chance = Random(bar_seed)
    for _ in range(bar_size):
        amount, to, rate = some_amount(chance), some_currency(chance), some_rate(chance)

        converted = amount.at(rate, to)

        major = Decimal(amount.units) / UNITS_PER_MINOR / 10**amount.currency.exponent * Decimal(rate)
        minor = (major * 10**to.exponent).quantize(Decimal(1), ROUND_HALF_UP)
        assert (converted.units, converted.currency) == (int(minor) * UNITS_PER_MINOR, to)


@pytest.mark.bar("C11", gate=2_000, target=100_000, quick=400, part="text")
def test_what_is_written_is_read_back_and_nothing_else_is_read(bar_size: int, bar_seed: int) -> None:
    chance = Random(bar_seed)
    for _ in range(bar_size):
        amount = some_amount(chance)
        text = render(amount)
        assert parse(text, amount.currency) == amount
        assert parse(f" {text}{'0' if '.' in text else '.0'}0 ", amount.currency) == amount
        finer = f"{text}{'' if amount.currency.exponent else '.'}1"
        for wrong in (finer, f"-{text}", f"+{text}", f"{text}e1", f"0x{text}", "", ".", "1,000", "١"):
            with pytest.raises(MalformedAmountError):
                parse(wrong, amount.currency)


@pytest.mark.bar("C11", gate=1, target=1, part="floats")
def test_no_module_that_touches_money_knows_a_float() -> None:
    touched = [
        *(SOURCE / "ledger").rglob("*.py"),
        *(SOURCE / "payments").rglob("*.py"),
        *(SOURCE / "merchants").rglob("*.py"),
        SOURCE / "kernel" / "money.py",
    ]
    assert [f"{file.name}:{line}" for file in touched for line in floats_in(file)] == []


def floats_in(file: Path) -> list[int]:
    """Return the lines of float literals, of `float(…)`, and of true division; seconds to wait are no money."""
    tree = ast.parse(file.read_text())
    waits = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and "_S" in ast.unparse(node).split("=", maxsplit=1)[0]
        for inner in ast.walk(node)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if id(node) not in waits
        and (
            (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (isinstance(node, ast.Call) and ast.unparse(node.func) == "float")
            or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not in_decimals(node))
        )
    ]


def in_decimals(node: ast.BinOp) -> bool:
    return "Decimal(" in ast.unparse(node)


def slow_fee(rule: FeeRule, amount: Money, *, exact: bool) -> int:
    """Work a fee out in decimals, from the words of the specification."""
    fixed, points = rule.fixed_units, rule.basis_points
    if rule.tiers:
        fixed, points = 0, 0
        for tier in reversed(rule.tiers):
            if tier.limit_units is None or amount.units <= tier.limit_units:
                fixed, points = tier.fixed_units, tier.basis_points
    share = Decimal(amount.units) * points / WHOLE
    fee = max(Decimal(fixed), share) if rule.greater else fixed + share
    step = 1 if exact else UNITS_PER_MINOR
    fee = (fee / step).quantize(Decimal(1), ROUND_HALF_UP) * step
    fee = max(fee, Decimal(rule.min_units or 0))
    if rule.max_units is not None:
        fee = min(fee, Decimal(rule.max_units))
    return int(min(fee, Decimal(amount.units)))


def some_rule(chance: Random) -> FeeRule:
    most = chance.choice((None, chance.randrange(100_000)))
    tiers: tuple[Tier, ...] = ()
    if chance.random() < 0.4:
        limits = sorted(chance.randrange(1, 10**9) for _ in range(chance.randrange(1, 4)))
        ends = [*limits, *chance.choice(([None], []))]
        tiers = tuple(Tier(end, *some_price(chance)) for end in ends)
    least = chance.choice((None, chance.randrange(50_000)))
    return FeeRule(*some_price(chance), least, most, chance.random() < 0.5, tiers)


def some_price(chance: Random) -> tuple[int, int]:
    fixed, points = chance.randrange(100_000), chance.randrange(WHOLE + 1)
    return chance.choice(((fixed, 0), (0, points), (fixed, points)))


def some_currency(chance: Random) -> Currency:
    return chance.choice(chance.choice(BY_EXPONENT))


def some_amount(chance: Random) -> Money:
    return Money(chance.randrange(1, 10 ** chance.randint(1, 11)) * UNITS_PER_MINOR, some_currency(chance))


def some_rate(chance: Random) -> str:
    whole, decimals = chance.randrange(10 ** chance.randint(1, 5)), chance.randrange(1, 10**6)
    return chance.choice((f"{whole + 1}", f"{whole}.{decimals:06}"))


def some_part(chance: Random, left: Money) -> int | None:
    if chance.random() < 0.15:
        return None
    minor = left.units // UNITS_PER_MINOR
    return chance.randint(1, max(1, minor // chance.choice((1, 2, 5)))) * UNITS_PER_MINOR


def some_payment(chance: Random) -> tuple[Payment, BookedReceipt]:
    """Return a completed payment and its money: as asked, converted, or another amount that was accepted."""
    amount = some_amount(chance)
    fee = Money(chance.randint(0, amount.units // UNITS_PER_MINOR) * UNITS_PER_MINOR, amount.currency)
    charge: Conversion | None = None
    received = amount
    kind = chance.choice(("plain", "plain", "converted", "other"))
    if kind == "converted":
        rate = some_rate(chance)
        received = amount.at(rate, some_currency(chance))
        charge = Conversion(received, rate, NOW)
    elif kind == "other":
        received = Money(chance.randint(1, 2 * amount.units // UNITS_PER_MINOR) * UNITS_PER_MINOR, amount.currency)
    payment = completed_payment(amount, fee, charge, Owner(1, Mode.SANDBOX))
    receipt = BookedReceipt(
        id=1,
        owner=payment.owner,
        payment_id=1,
        gateway="sandbox",
        account="",
        ref="r",
        amount=received,
        fee=fee_at_gateway(payment, received),
        refunding=Money(0, received.currency),
        origin="charge",
        state="booked",
        received_at=NOW,
    )
    return payment, receipt
