"""The auditor of contests: what is blocked and what went back must be in the books, and nothing else may."""

from collections.abc import Iterator
from typing import Final

from opentill.db import ReadTx

PAGE: Final = 2_000

_FAULTS: Final = (
    (
        "infraction {name} blocks {said} units, the books hold {moved}",
        """
        select i.id as name, i.blocked_units as said, {held} as moved from pix_infraction i
         where {page} and i.blocked_units <> {held}
        """,
    ),
    (
        "infraction {name} returned {said} units, its returns add up to {moved}",
        """
        select i.id as name, i.returned_units as said,
               (select coalesce(sum(x.units), 0) from pix_infraction_return x where x.infraction_id = i.id) as moved
          from pix_infraction i
         where {page} and i.returned_units <>
               (select coalesce(sum(x.units), 0) from pix_infraction_return x where x.infraction_id = i.id)
        """,
    ),
    (
        "infraction {name} is over and still blocks {said} units",
        """
        select i.id as name, i.blocked_units as said, 0 as moved from pix_infraction i
         where {page} and i.blocked_units > 0 and i.state not in ('open', 'defended', 'accepted')
        """,
    ),
)
_HELD: Final = """
               (select coalesce(sum(o.units), 0) from journal j join posting o on o.journal_id = j.id
                  join ledger_account a on a.id = o.account_id
                 where j.merchant_id = i.merchant_id and a.kind = 'held'
                   and ((j.source_type = 'infraction' and substr(j.source_id, 1, length(i.id) + 1) = i.id || '/')
                     or (j.source_type = 'infraction_return' and j.source_id in (
                         select x.id from pix_infraction_return x where x.infraction_id = i.id))))"""


def find_faults(tx: ReadTx) -> Iterator[str]:
    """Yield a sentence for each contest that the books do not explain."""
    after = ""
    while page := tx.all(
        "select id from pix_infraction where id > :after order by id limit :page", after=after, page=PAGE
    ):
        last = page[-1]["id"]
        for sentence, query in _FAULTS:
            bounded = query.format(page="i.id > :after and i.id <= :last", held=_HELD)
            yield from (sentence.format(**dict(row)) for row in tx.all(bounded, after=after, last=last))
        after = last
