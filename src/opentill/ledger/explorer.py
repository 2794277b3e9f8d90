"""The books as people walk through them: accounts, their statements, journals. Read-only."""

from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.growing import first_id
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner

PAGE_MAX: Final = 1_000
NEVER: Final = Instant(2**62)


def accounts(tx: ReadTx, *, owner: Owner) -> Sequence[Row]:
    """Return an owner's accounts with their balances, by currency."""
    return tx.all(
        """
        select id, currency, kind, gateway, balance_units, last_journal_id from ledger_account
         where merchant_id = :merchant_id and mode = :mode order by currency, kind, gateway
        """,
        **owner.columns,
    )


def account(tx: ReadTx, account_id: int, *, owner: Owner) -> Row | None:
    return tx.one_or_none(
        """
        select id, currency, kind, gateway, balance_units, last_journal_id from ledger_account
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=account_id,
        **owner.columns,
    )


def statement(tx: ReadTx, account_id: int, *, owner: Owner, limit: int, before: int | None = None) -> Sequence[Row]:
    """Return an account's postings, newest first, of journals older than the number *before*."""
    return tx.all(
        """
        select p.journal_id, p.line, p.units, j.kind, j.source_type, j.source_id, j.currency, j.created_at
          from posting p join journal j on j.id = p.journal_id
         where p.account_id = :account_id and p.journal_id < :before
           and j.merchant_id = :merchant_id and j.mode = :mode
         order by p.journal_id desc, p.line limit :limit
        """,
        account_id=account_id,
        before=before if before is not None else 2**62,
        limit=min(limit, PAGE_MAX),
        **owner.columns,
    )


def postings_between(
    tx: ReadTx, account_id: int, *, owner: Owner, since: Instant, until: Instant, after: int, limit: int = PAGE_MAX
) -> Sequence[Row]:
    """Return an account's postings of a span of time, oldest first, of journals with higher numbers than *after*."""
    return tx.all(
        """
        select p.journal_id, p.line, p.units, j.kind, j.source_type, j.source_id, j.created_at
          from posting p join journal j on j.id = p.journal_id
         where p.account_id = :account_id and p.journal_id > :after and p.journal_id >= :first
           and j.created_at >= :since and j.created_at < :until and j.merchant_id = :merchant_id and j.mode = :mode
         order by p.journal_id, p.line limit :limit
        """,
        account_id=account_id,
        after=after,
        first=first_id(tx, "journal", since),
        since=since,
        until=until,
        limit=limit,
        **owner.columns,
    )


def totals_between(tx: ReadTx, *, owner: Owner, since: Instant, until: Instant) -> Sequence[Row]:
    """Return for each account that moved in a span of time what was debited, credited, and by how many postings."""
    return tx.all(
        """
        select a.id, a.currency, a.kind, a.gateway, count(*) as n,
               sum(case when p.units < 0 then p.units else 0 end) as debit_units,
               sum(case when p.units > 0 then p.units else 0 end) as credit_units,
               sum(p.units) as units
          from ledger_account a
          join posting p on p.account_id = a.id and p.journal_id >= :first
          join journal j on j.id = p.journal_id and j.created_at >= :since and j.created_at < :until
         where a.merchant_id = :merchant_id and a.mode = :mode
         group by a.id, a.currency, a.kind, a.gateway order by a.currency, a.kind, a.gateway
        """,
        first=first_id(tx, "journal", since),
        since=since,
        until=until,
        **owner.columns,
    )


def journal(tx: ReadTx, journal_id: int, *, owner: Owner) -> tuple[Row, Sequence[Row]] | None:
    """Return a journal of an owner with its postings and the accounts they are on."""
    found = tx.one_or_none(
        """
        select id, kind, source_type, source_id, currency, created_at from journal
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=journal_id,
        **owner.columns,
    )
    return (found, _lines(tx, [journal_id])) if found else None


def journals_of(tx: ReadTx, sources: Sequence[tuple[str, str]], *, owner: Owner) -> Sequence[Row]:
    """Return the journals of some sources, oldest first, each named by its type and id."""
    found: list[Row] = []
    for source_type, source_id in sources:
        found += tx.all(
            """
            select id, kind, source_type, source_id, currency, created_at from journal
             where merchant_id = :merchant_id and mode = :mode and source_type = :source_type
               and source_id = :source_id
             order by id limit 100
            """,
            source_type=source_type,
            source_id=source_id,
            **owner.columns,
        )
    return sorted(found, key=lambda row: row["id"])


def lines_of(tx: ReadTx, journal_ids: Sequence[int]) -> dict[int, list[Row]]:
    """Return the postings of journals the caller is known to own, by journal."""
    found: dict[int, list[Row]] = {number: [] for number in journal_ids}
    for row in _lines(tx, journal_ids):
        found[row["journal_id"]].append(row)
    return found


def _lines(tx: ReadTx, journal_ids: Sequence[int]) -> Sequence[Row]:
    found: list[Row] = []
    for number in journal_ids:
        found += tx.all(
            """
            select p.journal_id, p.line, p.units, a.id as account_id, a.kind, a.gateway, a.currency
              from posting p join ledger_account a on a.id = p.account_id
             where p.journal_id = :id order by p.line
            """,
            id=number,
        )
    return found
