"""What a charge with a due date costs on a day (pix-rail.md §6.4, §11.2). Amounts in centavos, rates in hundredths.

Every part is of the original amount and rounded half up by itself. A month has 30 days or 21 business days, a year
365 or 252. Discounts end with the due date, fine and interest begin after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from opentill.kernel.money import half_up
from opentill.pix.business_days import business_days_between, next_business_day

WHOLE: Final = 10_000  # a rate of 100 %
FIXED, PERCENT = 1, 2  # of fine, rebate, and of discounts until dates
BY_DATE: Final = (FIXED, PERCENT)
# How interest grows: what its rate is divided by, and whether only business days count. The first is an amount.
_INTEREST: Final = {
    1: (None, False),
    2: (1, False),
    3: (30, False),
    4: (365, False),
    5: (None, True),
    6: (1, True),
    7: (21, True),
    8: (252, True),
}
_EARLY: Final = {3: (True, False), 4: (True, True), 5: (False, False), 6: (False, True)}  # is an amount, business days


@dataclass(frozen=True, slots=True)
class Rate:
    """How a part is reckoned, and by how much: centavos, or hundredths of a percent point."""

    kind: int
    value: int = 0
    until: Sequence[tuple[date, int]] = ()  # of discounts: a date and what holds to its end


@dataclass(frozen=True, slots=True)
class Terms:
    """What a charge asks for. *due_on* as it was asked; *days_after* until it may no longer be paid."""

    original: int
    due_on: date
    days_after: int = 30
    fine: Rate | None = None
    interest: Rate | None = None
    rebate: Rate | None = None
    discount: Rate | None = None

    @property
    def counted_from(self) -> date:
        """The due date, or the next business day."""
        return next_business_day(self.due_on)

    @property
    def last_day(self) -> date:
        """The last day on which it may be paid."""
        return next_business_day(self.counted_from + timedelta(days=self.days_after))


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed on a day, part by part."""

    original: int
    fine: int = 0
    interest: int = 0
    rebate: int = 0
    discount: int = 0

    @property
    def total(self) -> int:
        return self.original + self.fine + self.interest - self.rebate - self.discount


def owed(terms: Terms, on: date) -> Owed:
    """Return what a charge costs on a day."""
    rebate = _share(terms, terms.rebate)
    if on <= terms.counted_from:
        return Owed(terms.original, rebate=rebate, discount=_discount(terms, on))
    return Owed(terms.original, fine=_share(terms, terms.fine), interest=_interest(terms, on), rebate=rebate)


def read_terms(calendar: Mapping[str, Any], value: Mapping[str, Any]) -> Terms:
    """Read what a valid charge says."""
    return Terms(
        hundredths(value["original"]),
        date.fromisoformat(calendar["dataDeVencimento"]),
        calendar.get("validadeAposVencimento", 30),
        *(_rate(value.get(member)) for member in ("multa", "juros", "abatimento", "desconto")),
    )


def hundredths(text: str) -> int:
    """Return an amount in centavos, or a percentage in hundredths, of text with two decimals."""
    whole, decimals = text.split(".")
    return int(whole) * 100 + int(decimals)


def _rate(asked: Mapping[str, Any] | None) -> Rate | None:
    if asked is None:
        return None
    until = [
        (date.fromisoformat(each["data"]), hundredths(each["valorPerc"])) for each in asked.get("descontoDataFixa", ())
    ]
    return Rate(asked["modalidade"], hundredths(asked.get("valorPerc", "0.00")), tuple(sorted(until)))


def _share(terms: Terms, rate: Rate | None) -> int:
    """Return a fixed amount or a percentage of the original."""
    if rate is None:
        return 0
    return rate.value if rate.kind == FIXED else half_up(terms.original * rate.value, WHOLE)


def _interest(terms: Terms, on: date) -> int:
    if terms.interest is None:
        return 0
    divisor, business = _INTEREST[terms.interest.kind]
    days = _days(terms.counted_from, on, business=business)
    if divisor is None:
        return terms.interest.value * days
    return half_up(terms.original * terms.interest.value * days, WHOLE * divisor)


def _discount(terms: Terms, on: date) -> int:
    rate = terms.discount
    if rate is None:
        return 0
    if rate.kind in BY_DATE:
        value = next((value for until, value in rate.until if on <= until), 0)
        return value if rate.kind == FIXED else half_up(terms.original * value, WHOLE)
    is_amount, business = _EARLY[rate.kind]
    days = _days(on, terms.counted_from, business=business)
    taken = rate.value * days if is_amount else half_up(terms.original * rate.value * days, WHOLE)
    return min(taken, terms.original - 1)  # it is paid with something


def _days(start: date, end: date, *, business: bool) -> int:
    return business_days_between(start, end) if business else (end - start).days
