"""An amount is read as people write it, or not at all."""

import pytest

from opentill.checkout.link_form import read_amount
from opentill.kernel.money import MalformedAmountError, currency, parse


@pytest.mark.parametrize(
    ("typed", "code", "amount"),
    [
        ("10", "BRL", "10"),
        ("10,5", "BRL", "10.50"),
        ("10.50", "BRL", "10.50"),
        (" 1 234,50 ", "BRL", "1234.50"),
        ("1.234,50", "BRL", "1234.50"),
        ("1,234.50", "USD", "1234.50"),
        ("1.234.567,89", "BRL", "1234567.89"),
        ("1'234.50", "CHF", "1234.50"),
        ("1.250", "KWD", "1.250"),
        ("1500", "JPY", "1500"),
        ("007", "BRL", "7"),
    ],
)
def test_it_is_understood(typed: str, code: str, amount: str) -> None:
    assert read_amount(typed, currency(code)) == parse(amount, currency(code))


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("1.234", "BRL"),
        ("1,234", "USD"),
        ("1.5", "JPY"),
        ("10,555", "BRL"),
        ("10,5555", "BRL"),
        ("1.23,45", "BRL"),
        ("1,2,3", "BRL"),
        ("-5", "BRL"),
        ("5-", "BRL"),
        ("R$ 5", "BRL"),
        ("1e3", "BRL"),
        ("", "BRL"),
        (",", "BRL"),
        ("٣", "BRL"),
    ],
)
def test_it_is_refused_rather_than_guessed(typed: str, code: str) -> None:
    with pytest.raises(MalformedAmountError):
        read_amount(typed, currency(code))
