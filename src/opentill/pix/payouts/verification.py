"""The auditor of payouts: each state must have its journals and events, what is held must be explained.

Independent of the code it checks: it reads rows, page by page, and says in words what disagrees.
"""

from collections.abc import Iterator
from typing import Final

from opentill.db import ReadTx

PAGE: Final = 2_000  # payouts read at a time

_MOVED: Final = """
               (select coalesce(sum(o.units), 0) from journal j join posting o on o.journal_id = j.id
                  join ledger_account a on a.id = o.account_id
                 where j.merchant_id = p.merchant_id and j.source_type = 'payout' and j.source_id = p.id
                   and a.kind = '{kind}')"""
# What the journals of a payout must add up to in each account, by its state.
_EXPECTED: Final = {
    "held": "case when p.state in ('completed', 'returned', 'failed') then 0 else p.units + p.fee_units end",
    "available": "case when p.state = 'failed' then 0 else -(p.units + p.fee_units) end",
    "clearing": "case when p.state in ('completed', 'returned') then p.units else 0 end",
    "fees": "case when p.state in ('completed', 'returned') then p.fee_units else 0 end",
}
# Each query finds rows that must not exist. `{page}` bounds it to a page of payouts.
_FAULTS: Final = (
    (
        "payout {name} came back with {times} units, its row says {said}",
        """
        select p.id as name, p.returned_units as said,
               (select coalesce(sum(r.units), 0) from pix_payout_return r where r.payout_id = p.id) as times
          from pix_payout p
         where {page} and p.returned_units <> (
               select coalesce(sum(r.units), 0) from pix_payout_return r where r.payout_id = p.id)
        """,
    ),
    (
        "a return of payout {name} is not in the ledger with its amount",
        """
        select p.id as name from pix_payout p join pix_payout_return r on r.payout_id = p.id
         where {page} and r.units <> (
               select coalesce(sum(o.units), 0) from journal j join posting o on o.journal_id = j.id
                 join ledger_account a on a.id = o.account_id
                where j.merchant_id = p.merchant_id and j.source_type = 'payout_return' and j.source_id = r.id
                  and a.kind = 'available')
        """,
    ),
    (
        "payout {name} is {said} and {times} events say so",
        """
        select p.id as name, p.state as said,
               (select count(*) from event e where e.object_type = 'payout' and e.object_id = p.id
                   and e.type in ('payout.confirmed', 'payout.failed')) as times
          from pix_payout p
         where {page} and p.failed_at is null
           and case when p.completed_at is null then 0 else 1 end <> (
               select count(*) from event e where e.object_type = 'payout' and e.object_id = p.id
                  and e.type in ('payout.confirmed', 'payout.failed'))
        """,
    ),
    (
        "payout {name} waits and nobody will look at it",
        """
        select p.id as name from pix_payout p
         where {page} and p.due_at is null and p.state not in ('completed', 'returned', 'failed')
        """,
    ),
)


def find_faults(tx: ReadTx) -> Iterator[str]:
    """Yield a sentence for each payout that the books do not explain."""
    after = ""
    while page := tx.all("select id from pix_payout where id > :after order by id limit :page", after=after, page=PAGE):
        last = page[-1]["id"]
        for kind, expected in _EXPECTED.items():
            query = f"""
                select p.id as name, {expected} as wanted, {_MOVED.format(kind=kind)} as moved from pix_payout p
                 where p.id > :after and p.id <= :last and {expected} <> {_MOVED.format(kind=kind)}"""
            for row in tx.all(query, after=after, last=last):
                yield f"payout {row['name']} moved {row['moved']} units of {kind}, and should {row['wanted']}"
        for sentence, query in _FAULTS:
            rows = tx.all(query.format(page="p.id > :after and p.id <= :last"), after=after, last=last)
            yield from (sentence.format(**dict(row)) for row in rows)
        after = last
