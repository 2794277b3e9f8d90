"""Days on which banks in Brazil settle: not at weekends, nor on national holidays."""

from datetime import date, timedelta
from functools import cache
from typing import Final

_FIXED: Final = ((1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25))
_CONSCIENCE_SINCE: Final = 2024  # 20 November
# Carnival's Monday and Tuesday, Good Friday, Corpus Christi, in days from Easter.
_MOVABLE: Final = (-48, -47, -2, 60)


def is_business_day(day: date) -> bool:
    """Tell whether banks work on a day."""
    return day.weekday() < 5 and day not in holidays(day.year)


def next_business_day(day: date) -> date:
    """Return the day itself, or the first after it on which banks work."""
    while not is_business_day(day):
        day += timedelta(days=1)
    return day


def business_days_between(start: date, end: date) -> int:
    """Return how many business days there are after *start* up to and with *end*."""
    days = (start + timedelta(days=number) for number in range(1, (end - start).days + 1))
    return sum(map(is_business_day, days))


@cache
def holidays(year: int) -> frozenset[date]:
    """Return the national holidays of a year, with those on which only banks rest."""
    fixed = {date(year, month, day) for month, day in _FIXED}
    if year >= _CONSCIENCE_SINCE:
        fixed.add(date(year, 11, 20))
    return frozenset(fixed | {easter(year) + timedelta(days=days) for days in _MOVABLE})


def easter(year: int) -> date:
    """Return Easter Sunday, by the anonymous Gregorian computation."""
    century, golden = year // 100, year % 19
    epact = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (year % 100 // 4) - epact - year % 100 % 4) % 7
    shift = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)
