"""Accounts, entries and journals.

A credit is positive, a debit negative; a journal adds up to zero. Seen from the merchant: `available` is what
we owe them, `clearing` goes below zero by what a gateway owes us, `held` waits for a decision, `fees` is the
install's margin, `suspense` is money nobody owns yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from opentill.kernel.money import Money
from opentill.kernel.owner import Owner

Kind = Literal["clearing", "available", "held", "fees", "suspense"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a merchant; only clearing accounts name a gateway."""

    kind: Kind
    gateway: str = ""

    def debit(self, amount: Money) -> "Entry":
        return Entry(self, -amount)

    def credit(self, amount: Money) -> "Entry":
        return Entry(self, amount)


AVAILABLE: Final = Account("available")
HELD: Final = Account("held")
FEES: Final = Account("fees")
SUSPENSE: Final = Account("suspense")


def clearing(gateway: str) -> Account:
    """Return the account of what passed through a gateway. For PIX the name carries the provider account."""
    return Account("clearing", gateway)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal."""

    account: Account
    amount: Money


@dataclass(frozen=True, slots=True)
class Journal:
    """Entries that happen together. One per owner, source and kind: a second one is refused by the database."""

    owner: Owner
    kind: str
    source_type: str
    source_id: str
    entries: Sequence[Entry]
