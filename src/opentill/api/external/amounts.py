"""Amounts as Brazilians read them (pix-api.md §8.2)."""

from typing import Final

UNITS_PER_REAL: Final = 10_000


def reais(units: int, *, decimals: int) -> str:
    """Write units as reais with at least so many decimals, more only where they are not zero: `R$ 1.234,50`."""
    whole, rest = divmod(abs(units), UNITS_PER_REAL)
    written = f"{rest:04}"
    shown = written[:decimals] + written[decimals:].rstrip("0")
    return f"R$ {'-' if units < 0 else ''}{whole:,}".replace(",", ".") + f",{shown}"
