"""The auditor of payments: each money state must have its journal, receipt and event, and nothing else may.

Independent of the code it checks: it reads rows, page by page, and says in words what disagrees.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from opentill.db import ReadTx
from opentill.payments.invoices import verification as invoices
from opentill.payments.links import verification as links

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
          join receipt r on r.payment_id = p.id and r.origin = 'charge' and r.state = 'booked'
         where {page}
           and (r.units <> (select coalesce(-sum(o.units), 0) from posting o
                              join ledger_account a on a.id = o.account_id
                             where o.journal_id = j.id and a.kind in ('clearing', 'held'))
             or r.fee_units <> (select coalesce(sum(o.units), 0) from posting o
                                  join ledger_account a on a.id = o.account_id
                                 where o.journal_id = j.id and a.kind = 'fees')
             or (r.accepted = 0 and (r.units <> coalesce(p.charge_units, p.units)
                                     or r.currency <> coalesce(p.charge_currency, p.currency)))
             or (r.currency = p.currency and r.units = p.units and r.fee_units <> p.fee_units))
        """,
    ),
    (
        "payment {name} is completed without exactly one receipt",
        """
        select p.uuid as name from payment p
         where {page} and p.status = 'completed' and 1 <> (
               select count(*) from receipt r where r.payment_id = p.id and r.origin = 'charge' and r.state = 'booked')
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
        "payment {name} awaits verification of nothing, or is over and something waits to be verified",
        """
        select p.uuid as name from payment p
         where {page}
           and (p.detail = 'awaiting_verification' and not exists (
                   select 1 from submission s where s.payment_id = p.id and s.state = 'open')
             or p.detail not in ('awaiting_verification', 'pending_review') and exists (
                   select 1 from submission s where s.payment_id = p.id and s.state = 'open'))
        """,
    ),
    (
        "payment {name} has a charge in another state of payment",
        """
        select p.uuid as name from payment p join pix_charge c on c.payment_id = p.id
         where {page} and c.state = 'completed' and p.status <> 'completed'
        """,
    ),
    (
        "payment {name} says that {says} went back or is going back, its refunds say {sum}",
        """
        select * from (
            select p.uuid as name, p.refunding_units as says,
                   (select coalesce(sum(r.units), 0) from refund r
                     where r.payment_id = p.id and r.status <> 'failed') as sum
              from payment p where {page}) f
         where f.says <> f.sum
        """,
    ),
    (
        "payment {name} says that {says} went back, its refunds say {sum}",
        """
        select * from (
            select p.uuid as name, p.refunded_units as says,
                   (select coalesce(sum(r.units), 0) from refund r
                     where r.payment_id = p.id and r.status = 'completed') as sum
              from payment p where {page}) f
         where f.says <> f.sum
        """,
    ),
    (
        "payment {name} is shown as refunded although not all of it went back, or the other way round",
        """
        select p.uuid as name from payment p
         where {page} and (p.detail = 'refunded') <> (p.refunded_units = p.units)
        """,
    ),
    (
        "payment {name} was told of {times} times as {word}, it has {refunds} refunds to tell so of",
        """
        select * from (
            select p.uuid as name, w.word,
                   (select count(*) from event e where e.object_type = 'payment' and e.object_id = p.uuid
                       and e.type = w.word) as times,
                   (select count(*) from refund r where r.payment_id = p.id
                       and w.word in ('refund.created', 'refund.' || r.status)) as refunds
              from payment p
             cross join (select 'refund.created' as word union all select 'refund.completed'
                         union all select 'refund.failed') w
             where {page} and exists (select 1 from refund r where r.payment_id = p.id)) f
         where f.times <> f.refunds
        """,
    ),
)

_REFUNDS: Final = (
    (
        "refund {name} is completed and not in the ledger with its amount, or in the ledger and not completed",
        """
        select r.uuid as name from refund r
         where {page} and case when r.status = 'completed' then r.charge_units else 0 end <> (
               select coalesce(sum(o.units), 0)
                 from journal j join posting o on o.journal_id = j.id join ledger_account a on a.id = o.account_id
                where j.merchant_id = r.merchant_id and j.source_type = 'refund' and j.source_id = r.uuid
                  and a.kind = 'clearing')
        """,
    ),
    (
        "refund {name} does not hold what it put aside",
        """
        select r.uuid as name from refund r
         where {page} and r.hold <> 'parked'
           and case when r.hold = 'held' and r.status = 'pending' then r.charge_units else 0 end <> (
               select coalesce(sum(o.units), 0)
                 from journal j join posting o on o.journal_id = j.id join ledger_account a on a.id = o.account_id
                where j.merchant_id = r.merchant_id and j.source_type = 'refund' and j.source_id = r.uuid
                  and a.kind = 'held')
        """,
    ),
    (
        "refund {name} is of another merchant or payment than its receipt",
        """
        select r.uuid as name from refund r join receipt m on m.id = r.receipt_id
         where {page} and (r.merchant_id <> m.merchant_id or r.mode <> m.mode
                           or (r.payment_id is not null and r.payment_id <> m.payment_id))
        """,
    ),
)

_DISPUTES: Final = (
    (
        "dispute {name} does not hold what is contested, or holds it although it is over",
        """
        select d.uuid as name from dispute d
         where {page} and case when d.status in ('open', 'under_review') then d.charge_units else 0 end <> (
               select coalesce(sum(o.units), 0)
                 from journal j join posting o on o.journal_id = j.id join ledger_account a on a.id = o.account_id
                where j.merchant_id = d.merchant_id and j.source_type = 'dispute' and j.source_id = d.uuid
                  and a.kind = 'held')
        """,
    ),
    (
        "dispute {name} is lost and did not go back to the gateway, or went back and is not lost",
        """
        select d.uuid as name from dispute d
         where {page} and case when d.status = 'lost' then d.charge_units else 0 end <> (
               select coalesce(sum(o.units), 0)
                 from journal j join posting o on o.journal_id = j.id join ledger_account a on a.id = o.account_id
                where j.merchant_id = d.merchant_id and j.source_type = 'dispute' and j.source_id = d.uuid
                  and a.kind = 'clearing')
        """,
    ),
    (
        "the payment of dispute {name} does not show it, or does not count what was lost",
        """
        select d.uuid as name from dispute d join payment p on p.id = d.payment_id
         where {page}
           and (coalesce(p.dispute_status, '') <> (
                select n.status from dispute n where n.payment_id = p.id order by n.id desc limit 1)
             or p.lost_units <> (
                select case when coalesce(sum(l.units), 0) > p.units then p.units else coalesce(sum(l.units), 0) end
                  from dispute l where l.payment_id = p.id and l.status = 'lost'))
        """,
    ),
)
_REFUNDED_RECEIPTS: Final = """
        select * from (
            select r.id as name, r.refunding_units as says,
                   (select coalesce(sum(f.charge_units), 0) from refund f
                     where f.receipt_id = r.id and f.status <> 'failed') as sum
              from receipt r where r.id > :after and r.id <= :last) f
         where f.says <> f.sum
"""
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
    for table, alias, found_by in (("payment_link", "l", links.FAULTS), ("invoice", "i", invoices.FAULTS)):
        for first, last in _ranges(tx, table):
            page = f"{alias}.id > :after and {alias}.id <= :last"
            for sentence, query in found_by:
                rows = tx.all(query.format(page=page), after=first, last=last)
                yield from (sentence.format(**dict(row)) for row in rows)
    for first, last in _ranges(tx, "receipt"):
        for row in tx.all(_RECEIPTS, after=first, last=last):
            yield f"receipt {row['name']} is not in the ledger with its amount"
        for row in tx.all(_REFUNDED_RECEIPTS, after=first, last=last):
            yield f"receipt {row['name']} says that {row['says']} of it goes back, its refunds say {row['sum']}"
    for table, alias, checks in (("refund", "r", _REFUNDS), ("dispute", "d", _DISPUTES)):
        for first, last in _ranges(tx, table):
            for sentence, query in checks:
                page = query.format(page=f"{alias}.id > :after and {alias}.id <= :last")
                yield from (sentence.format(**dict(row)) for row in tx.all(page, after=first, last=last))


def counts(tx: ReadTx) -> dict[str, int]:
    """Return how much was looked at."""
    tables: Sequence[str] = ("payment", "receipt", "refund", "dispute", "journal", "posting", "event")
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
