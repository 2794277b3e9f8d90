"""Whose rows: a merchant in one mode. Every store function and every query is told."""

from typing import NamedTuple

from opentill.kernel.mode import Mode


class Owner(NamedTuple):
    """One merchant's live or sandbox side. The two sides share nothing."""

    merchant_id: int
    mode: Mode

    @property
    def columns(self) -> dict[str, int]:
        """Return the two columns that name an owner in every table, as parameters of a statement."""
        return {"merchant_id": self.merchant_id, "mode": int(self.mode)}

    @property
    def account_id(self) -> int:
        """Return the PIX account number: at least 10001, one per merchant and mode (pix-api.md §8.3)."""
        return 10_001 + 2 * (self.merchant_id - 1) + self.mode
