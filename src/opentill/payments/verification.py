"""The auditor of payments: each money state must have its journal, receipt and event, and nothing else may.

Independent of the code it checks: it reads rows, page by page, and says in words what disagrees.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from opentill.db import ReadTx

PAGE: Final = 2_000  # payments read at a time

# Each query finds rows that must not exist. `{page}` bounds it to the payments of one page.
_FAULTS: Final = (
    (
        "payment {name} is completed without a journal",
        """
        select p.uuid as name from payment p
         where {page} and p.status = 'completed' and not exists (
               select 1 from journal j where j.merchant_id = p.merchant_id and j.source_type = 'payment'
                  and j.source_id = p.uuid and j.kind = 'payment.completed')
        """,
    ),
    (
        "payment {name} has a journal although it is not completed",
        """
        select p.uuid as name from payment p
         where {page} and p.status <> 'completed' and exists (
               select 1 from journal j where j.merchant_id = p.merchant_id and j.source_type = 'payment'
                  and j.source_id = p.uuid and j.kind = 'payment.completed')
        """,
    ),
    (
        "the journal of payment {name} does not hold its amount, or another fee than the payment",
        """
        select p.uuid as name
          from payment p
          join journal j on j.merchant_id = p.merchant_id and j.source_type = 'payment' and j.source_id = p.uuid
           and j.kind = 'payment.completed'
         where {page}
           and (p.units <> (select coalesce(-sum(o.units), 0) from posting o
                              join ledger_account a on a.id = o.account_id
                             where o.journal_id = j.id and a.kind = 'clearing')
             or p.fee_units <> (select coalesce(sum(o.units), 0) from posting o
                                  join ledger_account a on a.id = o.account_id
                                 where o.journal_id = j.id and a.kind = 'fees'))
        """,
    ),
    (
        "payment {name} is completed without exactly one receipt of its amount",
        """
        select p.uuid as name from payment p
         where {page} and p.status = 'completed' and 1 <> (
               select count(*) from receipt r where r.payment_id = p.id and r.origin = 'charge'
                  and r.state = 'booked' and r.units = p.units)
        """,
    ),
    (
        "payment {name} was recorded as completed {times} times",
        """
        select p.uuid as name, (select count(*) from event e where e.object_type = 'payment' and e.object_id = p.uuid
                                   and e.type = 'payment.completed') as times
          from payment p
         where {page} and case when p.status = 'completed' then 1 else 0 end <> (
               select count(*) from event e where e.object_type = 'payment' and e.object_id = p.uuid
                  and e.type = 'payment.completed')
        """,
    ),
    (
        "payment {name} is over and still has a form open",
        """
        select p.uuid as name from payment p join gateway_session s on s.payment_id = p.id
         where {page} and s.state = 'open' and p.status not in ('pending', 'processing')
        """,
    ),
    (
        "payment {name} has a charge in another state of payment",
        """
        select p.uuid as name from payment p join pix_charge c on c.payment_id = p.id
         where {page} and c.state = 'completed' and p.status <> 'completed'
        """,
    ),
)

_RECEIPTS: Final = """
        select r.id as name from receipt r
         where r.id > :after and r.id <= :last
           and r.units <> (
               select coalesce(-sum(o.units), 0)
                 from journal j join posting o on o.journal_id = j.id join ledger_account a on a.id = o.account_id
                where a.kind = 'clearing' and j.merchant_id = r.merchant_id
                  and ((j.source_type = 'receipt' and j.source_id = cast(r.id as text))
                    or (r.origin = 'charge' and r.state = 'booked' and j.source_type = 'payment'
                        and j.source_id = (select p.uuid from payment p where p.id = r.payment_id))))
"""


def find_faults(tx: ReadTx) -> Iterator[str]:
    """Yield a sentence for each payment or receipt that the books do not explain."""
    for first, last in _ranges(tx, "payment"):
        for sentence, query in _FAULTS:
            rows = tx.all(query.format(page="p.id > :after and p.id <= :last"), after=first, last=last)
            yield from (sentence.format(**dict(row)) for row in rows)
    for first, last in _ranges(tx, "receipt"):
        for row in tx.all(_RECEIPTS, after=first, last=last):
            yield f"receipt {row['name']} is not in the ledger with its amount"


def counts(tx: ReadTx) -> dict[str, int]:
    """Return how much was looked at."""
    tables: Sequence[str] = ("payment", "receipt", "journal", "posting", "event")
    found = {}
    for table in tables:
        row = tx.one_or_none(f"select count(*) as n from {table}")
        found[table] = row["n"] if row else 0
    return found


def _ranges(tx: ReadTx, table: str) -> Iterator[tuple[int, int]]:
    """Cut a table into ranges of ids: after the first, up to and with the last."""
    row = tx.one_or_none(f"select coalesce(max(id), 0) as last from {table}")
    last: int = row["last"] if row else 0
    for after in range(0, last, PAGE):
        yield after, after + PAGE
