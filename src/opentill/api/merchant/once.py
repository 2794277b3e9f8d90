"""Doing the work of an operation in one transaction, once for each idempotency key."""

from collections.abc import Callable
from typing import Final

from opentill.api.merchant.call import MerchantCall
from opentill.db import Tx
from opentill.web import idempotency
from opentill.web.exchange import Answer, Header
from opentill.web.idempotency import Finished

REPLAYED: Final[tuple[Header, ...]] = ((b"idempotent-replayed", b"true"),)


async def once(call: MerchantCall, status: int, body: bytes, work: Callable[[Tx], None]) -> Answer:
    """Do *work* in a transaction and answer with *body*, or repeat the answer given under the same key."""
    slot, deps = call.slot, call.dependencies
    if slot is None:
        await deps.db.write(work)
        return Answer(status, body)
    sealed_body = deps.keyring.seal(body, slot.seal_context)

    def kept_or_done(tx: Tx) -> Finished | None:
        kept = idempotency.keep(tx, slot, status, sealed_body, keyring=deps.keyring, now=call.key_now)
        if kept is None:
            work(tx)
        return kept

    kept = await deps.db.write(kept_or_done)
    return replay(call, kept) if kept else Answer(status, body)


async def once_made(call: MerchantCall, status: int, work: Callable[[Tx], bytes]) -> Answer:
    """As `once`, where the body is known only once the work is done: *work* returns it."""
    slot, deps = call.slot, call.dependencies
    if slot is None:
        return Answer(status, await deps.db.write(work))

    def made(tx: Tx) -> Finished:
        return idempotency.once(tx, slot, lambda: (status, work(tx)), keyring=deps.keyring, now=call.key_now)

    finished = await deps.db.write(made)
    return replay(call, finished) if finished.replayed else Answer(finished.status, finished.body)


def replay(call: MerchantCall, kept: Finished) -> Answer:
    """Return an answer that was given before."""
    call.replayed = True
    return Answer(kept.status, kept.body, REPLAYED)
