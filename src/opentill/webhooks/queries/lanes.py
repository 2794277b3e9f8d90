"""Which lanes have work: what the dispatcher looks at before it claims (webhooks.md §5.3)."""

from collections.abc import Iterable
from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.bulk import among, numbers
from opentill.db.dialect import by_index, shared_clock
from opentill.kernel.clock import Instant
from opentill.webhooks.model import Breaker, Klass
from opentill.webhooks.rules import Waiting, bucket_of
from opentill.webhooks.store.endpoints import options_of

_WAITING: Final = """
    with recursive lane (endpoint_id) as ({lanes}
    )
    select {clock} as seen_at, l.endpoint_id, e.merchant_id, e.options,
           w.open_at, w.breaker, w.ramp_cap, w.tokens, w.tokens_at,
           (select min(d.due_at) from webhook_delivery d
             where d.state = 0 and d.klass = 0 and d.endpoint_id = l.endpoint_id) as first_tries,
           (select min(d.due_at) from webhook_delivery d
             where d.state = 0 and d.klass = 1 and d.endpoint_id = l.endpoint_id) as retries,
           (select min(d.due_at) from webhook_delivery d
             where d.state = 0 and d.klass = 2 and d.endpoint_id = l.endpoint_id) as bulk
      from lane l
      join webhook_endpoint e on e.id = l.endpoint_id and e.state = 0
      join webhook_lane w on w.endpoint_id = l.endpoint_id
     where l.endpoint_id is not null"""


def waiting(tx: ReadTx, endpoint_ids: Iterable[int] | None = None) -> list[Waiting]:
    """Return the lanes of active endpoints that have due rows, all of them or those named."""
    clock = shared_clock(tx)
    if endpoint_ids is None:
        found = tx.all(_WAITING.format(clock=clock, lanes=lanes_with_work(tx)))
    else:
        named = f"select endpoint_id from webhook_lane where endpoint_id {among(tx, 'ids')}"
        found = tx.all(_WAITING.format(clock=clock, lanes=named), ids=numbers(tx, endpoint_ids))
    return [_as_waiting(row) for row in found if row["first_tries"] is not None or _retries(row)]


def lanes_with_work(tx: ReadTx) -> str:
    """Return the body of a recursive `lane (endpoint_id)` that skips through the index of due rows.

    Its cost grows with the lanes that have work, not with the backlog. It ends with a row of null.
    """
    hint = by_index(tx, "wd_due")
    return f"""
      select min(endpoint_id) from webhook_delivery{hint} where state = 0
      union all
      select (select min(d.endpoint_id) from webhook_delivery d{hint}
               where d.state = 0 and d.endpoint_id > lane.endpoint_id)
        from lane where lane.endpoint_id is not null"""


def _retries(row: Row) -> bool:
    return row["retries"] is not None or row["bulk"] is not None


def _as_waiting(row: Row) -> Waiting:
    due = {Klass.FIRST_TRY: row["first_tries"], Klass.RETRY: row["retries"], Klass.BULK: row["bulk"]}
    options = options_of(row["options"])
    return Waiting(
        endpoint_id=int(row["endpoint_id"]),
        merchant_id=int(row["merchant_id"]),
        max_in_flight=options.max_in_flight,
        open_at=row["open_at"],
        breaker=Breaker(row["breaker"]),
        ramp_cap=row["ramp_cap"],
        first_due={klass: Instant(at) for klass, at in due.items() if at is not None},
        bucket=bucket_of(options.rate_per_s, options.burst, row["tokens"], row["tokens_at"]),
        seen_at=row["seen_at"],
    )
