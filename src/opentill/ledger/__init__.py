"""The double-entry ledger: append-only, per merchant, mode and currency (merchant-api.md §6.4, pix-api.md §16.1)."""

from opentill.ledger.model import AVAILABLE, FEES, HELD, SUSPENSE, Account, Entry, Journal, clearing
from opentill.ledger.service import lock_available, post

__all__ = ["AVAILABLE", "FEES", "HELD", "SUSPENSE", "Account", "Entry", "Journal", "clearing", "lock_available", "post"]
