"""The auditor of invoices: what was paid is what their payments brought, and each was paid once."""

from typing import Final

# Each query finds rows that must not exist. `{page}` bounds it to the invoices of one page.
FAULTS: Final = (
    (
        "invoice {name} counts another sum than its completed payments brought",
        """
        select i.uuid as name from invoice i
         where {page} and i.paid_units <> (
               select coalesce(sum(p.units), 0) from payment p where p.invoice_id = i.id and p.status = 'completed')
        """,
    ),
    (
        "invoice {name} waits to be paid although a payment of it completed",
        """
        select i.uuid as name from invoice i
         where {page} and i.status in ('draft', 'sent') and exists (
               select 1 from payment p where p.invoice_id = i.id and p.status = 'completed')
        """,
    ),
    (
        "invoice {name} is paid by a payment that is not completed or not of its total",
        """
        select i.uuid as name from invoice i join payment p on p.id = i.payment_id
         where {page} and (p.invoice_id is null or p.invoice_id <> i.id or p.status <> 'completed'
                           or p.units <> i.total_units or p.currency <> i.currency or i.status <> 'paid')
        """,
    ),
    (
        "invoice {name} said {times} times that it was paid",
        """
        select i.uuid as name,
               (select count(*) from event e
                 where e.type = 'invoice.paid' and e.object_type = 'payment' and e.object_id in (
                       select p.uuid from payment p where p.invoice_id = i.id)) as times
          from invoice i
         where {page} and case when i.payment_id is not null then 1 else 0 end <> (
               select count(*) from event e
                where e.type = 'invoice.paid' and e.object_type = 'payment' and e.object_id in (
                      select p.uuid from payment p where p.invoice_id = i.id))
        """,
    ),
)
