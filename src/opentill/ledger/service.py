"""Posting. The database expands the one row into postings and balances, or refuses it."""

import json
from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.ledger.model import Journal

_ROW: Final = ":merchant_id, :mode, :currency, :kind, :source_type, :source_id, :entries, :now"
_INTO: Final = """
        insert into journal (merchant_id, mode, currency, kind, source_type, source_id, entries, created_at)
"""
_INSERT: Final = {
    "sqlite": f"{_INTO} values ({_ROW})",
    # On PostgreSQL a posting locks its account so that it stays, and the balance then needs a stronger lock, which
    # two journals that came as far together would wait for in a circle. So each takes that one first, in one order.
    "postgres": f"""
        with accounts as materialized (
          select id from ledger_account
           where merchant_id = :merchant_id and mode = :mode and currency = :currency
           order by id for no key update)
        {_INTO} select {_ROW} from (select count(*) from accounts) as locked
    """,
}


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
        _INSERT[tx.dialect],
        merchant_id=journal.owner.merchant_id,
        mode=int(journal.owner.mode),
        currency=journal.entries[0].amount.currency.code,
        kind=journal.kind,
        source_type=journal.source_type,
        source_id=journal.source_id,
        entries=json.dumps(lines, separators=(",", ":")),
        now=now,
    )
