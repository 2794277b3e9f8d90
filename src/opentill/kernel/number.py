"""Numbers of a JSON text as they came over the wire: their literal, never a float on the way to an amount."""

import math
from typing import Any, Final

SHOWN_MAX: Final = 40  # characters of a number in a message
WHOLE_DIGITS_MAX: Final = 15  # every whole number of so many digits is exact in every JSON reader


class Number(str):
    """A JSON number, exactly as it was written: `100`, `99.90`, `1e3`. Compares equal to the same text."""

    __slots__ = ()


class OutOfRangeError(ValueError):
    """A number that JSON readers do not agree on."""


def ordinary(value: Any) -> Any:
    """Return a JSON value with its literals turned into Python numbers, for data that is only passed on.

    Raises OutOfRangeError for whole numbers of more than 15 digits and for what no float holds.
    """
    if isinstance(value, Number):
        return _ordinary(value)
    if isinstance(value, dict):
        return {key: ordinary(item) for key, item in value.items()}
    if isinstance(value, list):
        return [ordinary(item) for item in value]
    return value


def _ordinary(number: Number) -> int | float:
    digits = number.removeprefix("-")
    is_whole = digits.isdigit()
    if is_whole and len(digits) <= WHOLE_DIGITS_MAX:
        return int(number)
    real = float(number)
    if is_whole or not math.isfinite(real):
        raise OutOfRangeError(number if len(number) <= SHOWN_MAX else f"{number[:SHOWN_MAX]}…")
    return real
