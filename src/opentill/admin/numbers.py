"""Reading numbers and days of a query or a path. What cannot be one is none, never an error."""

from datetime import UTC, datetime
from typing import Final

from opentill.kernel.clock import Instant, from_datetime

DIGITS_MAX: Final = 15


def number(text: str) -> int:
    """Return a whole number; 0, which names nothing, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else 0


def day_start(text: str) -> Instant | None:
    """Return the beginning of a day `2026-03-07` in UTC; None for what is none."""
    try:
        return from_datetime(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError:
        return None
