"""Posting. The database expands the one row into postings and balances, or refuses it."""

import json

from opentill.db import Tx
from opentill.kernel.clock import Instant
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
    tx.run(
        """
        insert into journal (merchant_id, mode, currency, kind, source_type, source_id, entries, created_at)
        values (:merchant_id, :mode, :currency, :kind, :source_type, :source_id, :entries, :now)
        """,
        merchant_id=journal.owner.merchant_id,
        mode=int(journal.owner.mode),
        currency=journal.entries[0].amount.currency.code,
        kind=journal.kind,
        source_type=journal.source_type,
        source_id=journal.source_id,
        entries=json.dumps(lines, separators=(",", ":")),
        now=now,
    )
