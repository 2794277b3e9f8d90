"""The auditor of payment links: their counts are those of their payments, each of which said so once."""

from typing import Final

# Each query finds rows that must not exist. `{page}` bounds it to the links of one page.
FAULTS: Final = (
    (
        "payment link {name} counts {counted} uses, but {times} of its payments are completed",
        """
        select l.slug as name, l.use_count as counted,
               (select count(*) from payment p where p.link_id = l.id and p.status = 'completed') as times
          from payment_link l
         where {page} and l.use_count <> (
               select count(*) from payment p where p.link_id = l.id and p.status = 'completed')
        """,
    ),
    (
        "payment link {name} counts {counted} payments under way, but there are {times}",
        """
        select l.slug as name, l.open_count as counted,
               (select count(*) from payment p
                 where p.link_id = l.id and p.status in ('pending', 'processing')) as times
          from payment_link l
         where {page} and l.open_count <> (
               select count(*) from payment p where p.link_id = l.id and p.status in ('pending', 'processing'))
        """,
    ),
    (
        "payment {name} of a link is completed, and said so of the link {times} times",
        """
        select p.uuid as name, (select count(*) from event e where e.object_type = 'payment' and e.object_id = p.uuid
                                   and e.type = 'payment_link.paid') as times
          from payment_link l join payment p on p.link_id = l.id
         where {page} and case when p.status = 'completed' then 1 else 0 end <> (
               select count(*) from event e where e.object_type = 'payment' and e.object_id = p.uuid
                  and e.type = 'payment_link.paid')
        """,
    ),
)
