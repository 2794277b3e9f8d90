"""What a merchant's payments add up to, for the overview. Read-only; bounded by a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.payments import tallies


@dataclass(frozen=True, slots=True)
class Figure:
    """The payments of one day (UTC), gateway and state in one currency."""

    day: int  # whole days since 1970
    gateway: str
    detail: str
    count: int
    amount: Money
    fee: Money


def by_day(tx: ReadTx, *, owner: Owner, since: Instant) -> Sequence[Figure]:
    """Return the payments made since an instant, added up by day, gateway, state and currency."""
    # A clock may have stepped, so the first payment that counts is looked for by blocks, which know what they hold.
    oldest = tallies.blocks(tx, owner=owner, since=since, until=None, take=lambda _: True)[-1]
    rows = tx.all(
        f"""
        select created_at / {DAY} as day, coalesce(gateway, '') as gateway, detail, currency, count(*) as n,
               sum(units) as units, sum(fee_units) as fee_units
          from payment
         where merchant_id = :merchant_id and mode = :mode and id > :above and created_at >= :since
         group by created_at / {DAY}, coalesce(gateway, ''), detail, currency
        """,
        **owner.columns,
        above=oldest.above,
        since=since,
    )
    return [
        Figure(
            int(row["day"]),
            row["gateway"],
            row["detail"],
            int(row["n"]),
            Money(int(row["units"]), currency(row["currency"])),
            Money(int(row["fee_units"]), currency(row["currency"])),
        )
        for row in rows
    ]
