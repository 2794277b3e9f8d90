"""Doing the work of an operation in one transaction, once for each idempotency key."""

from collections.abc import Callable
from typing import Final

from opentill.api.external.call import ExternalCall
from opentill.db import Tx
from opentill.web import idempotency
from opentill.web.exchange import Answer, Header
from opentill.web.idempotency import Finished

REPLAYED: Final[tuple[Header, ...]] = ((b"x-idempotent-replay", b"true"),)


async def once(call: ExternalCall, status: int, work: Callable[[Tx], bytes]) -> Answer:
    """Do *work* in a transaction and answer with its bytes, or repeat the answer given under the same key."""
    slot, deps = call.slot, call.dependencies
    if slot is None:
        return Answer(status, await deps.db.write(work))

    kept = await deps.db.write(
        lambda tx: idempotency.once(tx, slot, lambda: (status, work(tx)), keyring=deps.keyring, now=call.key_now)
    )
    return replay(call, kept) if kept.replayed else Answer(kept.status, kept.body)


async def answered_before(call: ExternalCall) -> Answer | None:
    """Return the answer given under the same key, before anything is asked of others for the request."""
    slot, deps = call.slot, call.dependencies
    if slot is None:
        return None
    kept = await deps.db.lookup(lambda tx: idempotency.look(tx, slot, keyring=deps.keyring, now=call.key_now))
    return replay(call, kept) if kept else None


def replay(call: ExternalCall, kept: Finished) -> Answer:
    """Return an answer that was given before."""
    call.replayed = True
    return Answer(kept.status, kept.body, REPLAYED)
