"""The duplicate guard: an order that a client sends again without a key is one payment (merchant-api.md §5).

Off unless the merchant sets it. Some clients repeat a POST after a fault or a broken connection and send no key.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import once
from opentill.db import Tx
from opentill.kernel.clock import MINUTE, Instant
from opentill.payments import queries
from opentill.payments.model import Payment
from opentill.web import idempotency
from opentill.web.exchange import Answer
from opentill.web.idempotency import Slot

SCOPE: Final = "repeat guard"


async def placed(
    call: MerchantCall, payment: Payment, place: Callable[[Tx], None], written: Callable[[Payment], bytes]
) -> Answer:
    """Store a drafted payment and answer with it, or with the one it repeats."""
    deps = call.dependencies
    minutes = call.by.merchant.options.duplicate_guard_minutes
    if call.slot is not None or not minutes or payment.order_id is None:
        return await once(call, 201, written(payment), place)

    def place_or_find(tx: Tx) -> Payment:
        # The key's row is a lock: of two requests at once the second waits here, and then sees the first one's payment.
        idempotency.mark(tx, _slot(payment, minutes), now=call.key_now)
        since = Instant(call.arrived_at - minutes * MINUTE)
        twin = queries.pending_twin(tx, payment, since=since, now=call.arrived_at, keyring=deps.keyring)
        if twin is None:
            place(tx)
        return twin or payment

    return Answer(201, written(await deps.db.write(place_or_find)))


def _slot(payment: Payment, minutes: int) -> Slot:
    same = f"{payment.order_id}\0{payment.amount.units}\0{payment.amount.currency.code}"
    name = hashlib.sha256(same.encode()).hexdigest()
    return Slot(payment.owner, "merchant", name, name, scope=SCOPE, kept=minutes * MINUTE)
