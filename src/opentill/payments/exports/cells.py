"""Comma-separated values for spreadsheets, without what a spreadsheet would calculate."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from opentill.kernel.money import currency

FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")  # with these a spreadsheet begins to calculate


def harmless(text: str | None) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text and text.startswith(FORMULAS) else text or ""


def exact(units: int, code: str) -> str:
    """Write units as a plain decimal with every digit, so that a sum of many is the sum of the books."""
    places = currency(code).exponent + 2
    digits = str(abs(units)).rjust(places + 1, "0")
    return f"{'-' if units < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as lines of a sheet."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
