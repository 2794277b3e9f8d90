"""Money: an integer of units with a currency.

A unit is one hundredth of the currency's minor unit (BRL: R$ 0.0001), because PIX fees are smaller than a
centavo. Floats never meet an amount. Amounts on the wire: merchant-api.md §6, pix-api.md §8.2.
"""

import re
from dataclasses import dataclass
from typing import Final

from opentill.kernel.currencies import EXPONENTS

UNITS_PER_MINOR: Final = 100
WHOLE: Final = 10_000  # basis points
RATE = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,24}))?", re.ASCII)
RATE_DIGITS_MAX: Final = 12  # that count: not zeros in front
AMOUNT = re.compile(r"([0-9]{1,12})(?:\.([0-9]+))?", re.ASCII)


class UnknownCurrencyError(ValueError):
    """Not a currency of ISO 4217."""


class MalformedRateError(ValueError):
    """Not a plain decimal above zero of at most 12 digits."""


class MalformedAmountError(ValueError):
    """Not a plain decimal, or more decimals than the currency has."""


@dataclass(frozen=True, slots=True, order=True)
class Currency:
    """A currency of ISO 4217 and the number of decimals of its minor unit."""

    code: str
    exponent: int


_CURRENCIES: Final = {code: Currency(code, exponent) for code, exponent in EXPONENTS.items()}


def currency(code: str) -> Currency:
    """Return the currency of an upper-case ISO 4217 code. Raises `UnknownCurrencyError`."""
    try:
        return _CURRENCIES[code]
    except KeyError:
        raise UnknownCurrencyError(code) from None


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An exact amount. Two amounts of different currencies never add up."""

    units: int
    currency: Currency

    def __str__(self) -> str:
        """Write an amount in a sentence: `99.90 BRL`."""
        return f"{render(self)} {self.currency.code}"

    def __add__(self, other: "Money") -> "Money":
        return Money(self.units + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.units - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.units, self.currency)

    def share(self, basis_points: int) -> "Money":
        """Return the given share of this amount, rounded half up to a whole unit."""
        return Money(half_up(self.units * basis_points, WHOLE), self.currency)

    def rounded(self) -> "Money":
        """Return this amount rounded half up to a whole minor unit."""
        return Money(half_up(self.units, UNITS_PER_MINOR) * UNITS_PER_MINOR, self.currency)

    def part(self, numerator: int, denominator: int) -> "Money":
        """Return this amount times a fraction, rounded half up to a whole minor unit."""
        return Money(half_up(self.units * numerator, denominator * UNITS_PER_MINOR) * UNITS_PER_MINOR, self.currency)

    def at(self, rate: str, to: Currency) -> "Money":
        """Return this amount in another currency, rounded half up to its minor unit.

        The rate is units of *to* for one of ours, as a plain decimal. Raises `MalformedRateError`.
        """
        matched = RATE.fullmatch(rate)
        whole, decimals = (matched[1], matched[2] or "") if matched else ("", "")
        if not 1 <= len((whole + decimals).lstrip("0")) <= RATE_DIGITS_MAX:
            raise MalformedRateError(rate)
        minor = half_up(
            self.units * int(whole + decimals) * 10**to.exponent,
            UNITS_PER_MINOR * 10 ** (self.currency.exponent + len(decimals)),
        )
        return Money(minor * UNITS_PER_MINOR, to)

    @property
    def minor(self) -> int:
        """Return whole minor units (centavos, cents). Raises ValueError where a fraction would be lost."""
        whole, rest = divmod(self.units, UNITS_PER_MINOR)
        if rest:
            raise ValueError(f"{self.units} units of {self.currency.code} are not whole minor units")
        return whole

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency.code} and {other.currency.code} do not add up")
        return other.units


def half_up(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest whole, halves away from zero. The only rounding there is."""
    quotient = (2 * abs(numerator) + denominator) // (2 * denominator)
    return quotient if numerator >= 0 else -quotient


def parse(text: str, of: Currency) -> Money:
    """Read a plain decimal in major units: `100` means 100.00. Raises `MalformedAmountError`.

    No sign, exponent, separator or hex; digits beyond the currency's decimals must be zeros
    (merchant-api.md §6.1).
    """
    matched = AMOUNT.fullmatch(text.strip())
    if matched is None:
        raise MalformedAmountError("The amount must be a plain decimal number, for example 99.90.")
    whole, decimals = matched[1], matched[2] or ""
    if decimals[of.exponent :].strip("0"):
        places = f"{of.exponent} decimal places" if of.exponent else "no decimal places"
        raise MalformedAmountError(f"{of.code} amounts have {places}.")
    return Money(int(whole + decimals[: of.exponent].ljust(of.exponent, "0")) * UNITS_PER_MINOR, of)


def from_minor(minor: int, of: Currency) -> Money:
    """Return the amount of whole minor units (centavos, cents)."""
    return Money(minor * UNITS_PER_MINOR, of)


def render(money: Money) -> str:
    """Write in major units with exactly the currency's decimals, rounded half up: `99.90`, JPY `1500`."""
    minor = half_up(money.units, UNITS_PER_MINOR)
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor))
    places = money.currency.exponent
    if places == 0:
        return sign + digits
    digits = digits.rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"
