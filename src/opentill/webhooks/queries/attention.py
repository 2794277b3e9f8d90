"""What of webhooks needs a person, for the overview and for letters. Read-only."""

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.webhooks.model import DeliveryState
from opentill.webhooks.store.by_state import in_state


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


def oldest_held(tx: ReadTx, *, before: Instant) -> dict[int, Instant]:
    """Return for each endpoint that holds events from before an instant when the oldest of them happened."""
    found = tx.all(
        f"""
        select id, oldest
          from (select e.id, (select v.occurred_at
                                from {in_state(tx, DeliveryState.HELD)} d join event v on v.seq = d.event_seq
                               where d.endpoint_id = e.id
                               order by d.id limit 1) as oldest
                  from webhook_endpoint e where e.kind = 0 and e.state <> 3) held
         where oldest < :before
        """,
        before=before,
    )
    return {int(row["id"]): Instant(row["oldest"]) for row in found}
