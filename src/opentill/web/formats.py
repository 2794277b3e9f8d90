"""How an amount and an instant are shown. Nothing else in a page formats one."""

import copy
from decimal import Decimal
from functools import cache

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import NumberPattern
from markupsafe import Markup

from opentill.kernel.clock import Instant, iso_seconds, to_datetime
from opentill.kernel.money import Money, render

TIME_ELEMENT = Markup('<time datetime="{}" data-behaviour="local-time">{}</time>')


def money(amount: Money, locale: Locale) -> str:
    """Write an amount as the locale does, with exactly the currency's decimals: `R$ 1.234,50`, `JP¥1,500`."""
    pattern = _pattern(locale, amount.currency.exponent)
    text: str = pattern.apply(Decimal(render(amount)), locale, currency=amount.currency.code, currency_digits=False)
    return text


def time(instant: Instant, locale: Locale) -> Markup:
    """Write an instant in UTC and say so; where scripts run, it becomes the reader's own time."""
    moment = to_datetime(instant)
    day, hour = format_date(moment, "medium", locale=locale), format_time(moment, "short", locale=locale)
    return TIME_ELEMENT.format(iso_seconds(instant), f"{day}, {hour} UTC")


@cache
def _pattern(locale: Locale, places: int) -> NumberPattern:
    """Return the locale's way to write money, with our number of decimals in place of CLDR's."""
    pattern: NumberPattern = copy.copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    return pattern
