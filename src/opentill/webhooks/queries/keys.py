"""The public keys receivers verify with."""

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks.model import SigningKey
from opentill.webhooks.store import keys as store


def published_keys(tx: ReadTx, merchant_uuid: str | None, mode: Mode, *, now: Instant) -> list[SigningKey] | None:
    """Return a merchant's keys, or those of the only merchant there is; None if that is nobody."""
    found = tx.all(
        "select id from merchant where cast(:uuid as text) is null or uuid = :uuid order by id limit 2",
        uuid=merchant_uuid,
    )
    if len(found) != 1:
        return None
    return store.published(tx, Owner(int(found[0]["id"]), mode), now=now)
