"""How an amount and an instant are shown. Nothing else in a page formats one."""

import copy
from datetime import date, timedelta
from datetime import time as clock_time
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, format_timedelta
from babel.numbers import NumberPattern, format_decimal
from markupsafe import Markup

from opentill.kernel.clock import SECOND, Instant, iso_seconds, to_datetime
from opentill.kernel.money import UNITS_PER_MINOR, Money, render

DAY_ELEMENT = Markup('<time datetime="{}">{}</time>')
KEPT: Final = 4_096  # texts of each kind: a list shows the same few over and over, and writing one takes long
TIME_ELEMENT = Markup('<time datetime="{}" data-behaviour="local-time">{}</time>')


@lru_cache(KEPT)
def money(amount: Money, locale: Locale) -> str:
    """Write an amount as the locale does, with exactly the currency's decimals: `R$ 1.234,50`, `JP¥1,500`."""
    pattern = _pattern(locale, amount.currency.exponent)
    text: str = pattern.apply(Decimal(render(amount)), locale, currency=amount.currency.code, currency_digits=False)
    return text


def exact(amount: Money, locale: Locale) -> str:
    """Write an amount with every digit it has: two places more where there are fractions of a minor unit."""
    if amount.units % UNITS_PER_MINOR == 0:
        return money(amount, locale)
    places = amount.currency.exponent + 2
    text: str = _pattern(locale, places).apply(
        Decimal(amount.units).scaleb(-places), locale, currency=amount.currency.code, currency_digits=False
    )
    return text


def short_day(instant: Instant, locale: Locale) -> str:
    """Write a day of UTC, short: `7/3`, `07/03`."""
    text: str = format_skeleton("Md", to_datetime(instant), locale=locale)
    return text


def time(instant: Instant, locale: Locale) -> Markup:
    """Write an instant in UTC and say so; where scripts run, it becomes the reader's own time."""
    return TIME_ELEMENT.format(iso_seconds(instant), moment(instant, locale))


def moment(instant: Instant, locale: Locale) -> str:
    """Write an instant in UTC as plain text, for letters."""
    at = to_datetime(instant)
    return f"{_date(at.date(), locale)}, {_hour(at.hour, at.minute, locale)} UTC"


def ago(microseconds: int, locale: Locale) -> str:
    """Write how long ago something was, in one round number: `3 hours ago`."""
    text: str = format_timedelta(timedelta(microseconds=-max(microseconds, SECOND)), add_direction=True, locale=locale)
    return text


def decimal(number: Decimal | str, locale: Locale) -> str:
    """Write a number that is not money with all its digits, 24 decimals at most: `1,5`."""
    text: str = format_decimal(number, f"#,##0.{'#' * 24}", locale=locale)
    return text


def day(when: date, locale: Locale) -> Markup:
    """Write a day of the calendar, which is the same wherever it is read: `31 de mar. de 2026`."""
    return DAY_ELEMENT.format(when.isoformat(), _date(when, locale))


def plain_day(instant: Instant, locale: Locale) -> str:
    """Write a day of UTC as plain text."""
    return _date(to_datetime(instant).date(), locale)


def plain_date(when: date, locale: Locale) -> str:
    """Write a day of the calendar as plain text."""
    return _date(when, locale)


@lru_cache(KEPT)
def _date(when: date, locale: Locale) -> str:
    text: str = format_date(when, "medium", locale=locale)
    return text


@lru_cache(KEPT)
def _hour(hour: int, minute: int, locale: Locale) -> str:
    text: str = format_time(clock_time(hour, minute), "short", locale=locale)
    return text


@cache
def _pattern(locale: Locale, places: int) -> NumberPattern:
    """Return the locale's way to write money, with our number of decimals in place of CLDR's."""
    pattern: NumberPattern = copy.copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    return pattern
