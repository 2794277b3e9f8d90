"""What of a merchant's webhooks needs a person, for the overview. Read-only."""

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner


def attention(tx: ReadTx, *, owner: Owner, since: Instant) -> dict[str, int]:
    """Return how many deliveries were delivered and given up since an instant, and which endpoints do not work."""
    place = {"merchant_id": owner.merchant_id, "mode": int(owner.mode)}
    counted = tx.all(
        """
        select d.state, count(*) as n from webhook_delivery d
         where d.endpoint_id in (select id from webhook_endpoint where merchant_id = :merchant_id and mode = :mode)
           and d.finished_at >= :since and d.state in (2, 3)
         group by d.state
        """,
        since=since,
        **place,
    )
    by_state = {row["state"]: int(row["n"]) for row in counted}
    [endpoints] = tx.all(
        """
        select count(*) as n, coalesce(sum(case when l.failing_since is not null then 1 else 0 end), 0) as failing,
               coalesce(sum(case when e.state = 2 then 1 else 0 end), 0) as disabled
          from webhook_endpoint e left join webhook_lane l on l.endpoint_id = e.id
         where e.merchant_id = :merchant_id and e.mode = :mode and e.kind = 0 and e.state <> 3
        """,
        **place,
    )
    return {
        "delivered": by_state.get(2, 0),
        "dead": by_state.get(3, 0),
        "endpoints": int(endpoints["n"]),
        "failing": int(endpoints["failing"]),
        "disabled": int(endpoints["disabled"]),
    }
