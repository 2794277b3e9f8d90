"""Posting. The database expands the one row into postings and balances, or refuses it."""

import json

from opentill.db import Tx
from opentill.db.dialect import for_change
from opentill.kernel.clock import Instant
from opentill.kernel.failpoints import reach
from opentill.kernel.money import Currency, Money
from opentill.kernel.owner import Owner
from opentill.ledger.model import Journal


def post(tx: Tx, journal: Journal, *, now: Instant) -> None:
    """Post a journal, and lock the accounts it moves until *tx* ends.

    Entries of zero are left out. The database refuses a journal that does not balance, a second one of the same
    source and kind, and one that would take `held` below zero; each is a bug here, never a refusal to a caller.
    """
    lines = [
        [entry.account.kind, entry.account.gateway, entry.amount.units]
        for entry in journal.entries
        if entry.amount.units
    ]
    tx.defer(
        """
        insert into journal (merchant_id, mode, currency, kind, source_type, source_id, entries, created_at)
        values (:merchant_id, :mode, :currency, :kind, :source_type, :source_id, :entries, :now)
        """,
        **journal.owner.columns,
        currency=journal.entries[0].amount.currency.code,
        kind=journal.kind,
        source_type=journal.source_type,
        source_id=journal.source_id,
        entries=json.dumps(lines, separators=(",", ":")),
        now=now,
    )
    reach("journal.posted")


def lock_available(tx: Tx, currency: Currency, *, owner: Owner) -> Money:
    """Return what a merchant may take out, and keep it from changing until *tx* ends.

    `held` is locked with it, in the order in which journals lock accounts, so that nobody waits in a circle.
    """
    rows = tx.all(
        f"""
        select kind, balance_units from ledger_account
         where merchant_id = :merchant_id and mode = :mode and currency = :currency
           and kind in ('available', 'held')
         order by id{for_change(tx)}
        """,
        **owner.columns,
        currency=currency.code,
    )
    return Money(next((row["balance_units"] for row in rows if row["kind"] == "available"), 0), currency)
