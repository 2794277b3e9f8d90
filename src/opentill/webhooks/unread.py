"""Feeds that nobody reads: noticed like failing endpoints, never disabled (webhooks.md §11)."""

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, HOUR, Instant
from opentill.kernel.ids import Ids
from opentill.webhooks import notices
from opentill.webhooks.rules import Notice
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store import feeds as store
from opentill.webhooks.store.feeds import Neglected


def are_to_tell(tx: ReadTx, *, now: Instant) -> bool:
    """Tell whether `tell` would do anything."""
    return any(_due(feed, now) != feed.told for feed in store.neglected(tx))


def tell(tx: Tx, *, now: Instant, ids: Ids) -> int:
    """Record who leaves a feed unread for a day or three, and who reads again; return how many notices that is."""
    changed = [(feed, due) for feed in store.neglected(tx, lock=True) if (due := _due(feed, now)) != feed.told]
    endpoints = endpoint_store.by_ids(tx, (feed.endpoint_id for feed, _ in changed))
    for feed, due in changed:
        endpoint = endpoints[feed.endpoint_id]
        if due is Notice.NONE or feed.since is None:
            notices.read_again(tx, endpoint, at=now, ids=ids)
        else:
            hours = (now - feed.since) // HOUR
            notices.unread(tx, endpoint, since=feed.since, hours=hours, notice=due, at=now, ids=ids)
        store.note_told(tx, feed.endpoint_id, due)
    return len(changed)


def _due(feed: Neglected, now: Instant) -> Notice:
    """Return the notice a feed has come to. One that waits for nothing, or was read within a day, is well."""
    if feed.since is None:
        return Notice.NONE
    if now - feed.since >= 3 * DAY:
        return Notice.FAILING_THREE_DAYS
    return Notice.FAILING_A_DAY if now - feed.since >= DAY else Notice.NONE
