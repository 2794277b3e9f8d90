"""What came into the review queue lately, for those who are written to about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner


@dataclass(frozen=True, slots=True)
class News:
    """How many items an owner got in a while that nobody has decided yet."""

    owner: Owner
    slug: str
    merchant: str
    count: int


def news(tx: ReadTx, *, since: Instant, until: Instant) -> Sequence[News]:
    """Return by owner what came from *since* to before *until* and still waits for a person."""
    rows = tx.all(
        """
        select i.merchant_id, i.mode, m.slug, m.name, count(*) as n
          from review_item i join merchant m on m.id = i.merchant_id
         where i.resolved_at is null and i.created_at >= :since and i.created_at < :until
         group by i.merchant_id, i.mode, m.slug, m.name
         order by i.merchant_id, i.mode
        """,
        since=since,
        until=until,
    )
    return [News(Owner(row["merchant_id"], Mode(row["mode"])), row["slug"], row["name"], row["n"]) for row in rows]
