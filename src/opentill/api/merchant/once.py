"""Doing the work of an operation in one transaction, once for each idempotency key."""

from collections.abc import Callable
from typing import Final

from opentill.api.merchant.call import MerchantCall
from opentill.db import Tx
from opentill.web import idempotency
from opentill.web.exchange import Answer, Header

REPLAYED: Final[tuple[Header, ...]] = ((b"idempotent-replayed", b"true"),)


async def once(call: MerchantCall, status: int, work: Callable[[Tx], bytes]) -> Answer:
    """Do *work* in a transaction and answer with its bytes, or repeat the answer given under the same key."""
    slot, deps = call.slot, call.dependencies
    if slot is None:
        return Answer(status, await deps.db.write(work))

    kept = await deps.db.write(
        lambda tx: idempotency.once(tx, slot, lambda: (status, work(tx)), keyring=deps.keyring, now=call.arrived_at)
    )
    call.replayed = kept.replayed
    return Answer(kept.status, kept.body, REPLAYED if kept.replayed else ())
