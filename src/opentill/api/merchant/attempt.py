"""What an idempotency key has to do with an operation that leaves the process between its transactions."""

from typing import Any

from opentill.api.merchant.call import MerchantCall
from opentill.db import Tx
from opentill.kernel.errors import Refused
from opentill.web import idempotency
from opentill.web.idempotency import Claimed, Finished


class Answered(Exception):  # noqa: N818 - the request was answered before
    """The key has its answer already; raised in the first transaction, which it undoes."""

    def __init__(self, kept: Finished) -> None:
        self.kept = kept


class Attempt:
    """One attempt under the call's key. Without a key, nothing is taken and nothing kept."""

    def __init__(self, call: MerchantCall) -> None:
        self._call = call
        self._slot = call.slot
        self._claimed: Claimed | None = None
        self.resumed = False  # an earlier attempt under this key died on its way

    def claim(self, tx: Tx, proposed: str) -> str:
        """Take the key, and return the id an earlier attempt chose, or else the proposed one. Raises Answered."""
        if self._slot is None:
            return proposed
        keyring = self._call.dependencies.keyring
        # Nothing is chosen in the same breath: whether an earlier attempt did so is what `resumed` goes by, also where
        # what is proposed is always the same.
        claimed = idempotency.claim(tx, self._slot, keyring=keyring, now=self._call.key_now)
        if isinstance(claimed, Finished):
            raise Answered(claimed)
        self._claimed = claimed
        self.resumed = "id" in claimed.chosen
        chosen: str = claimed.chosen.get("id", proposed)
        idempotency.choose(tx, self._slot, {"id": chosen})
        return chosen

    def finish(self, tx: Tx, status: int, body: bytes) -> None:
        """Keep the answer."""
        if self._slot is not None:
            idempotency.finish(tx, self._slot, status, body, keyring=self._call.dependencies.keyring)

    async def release(self, failure: BaseException) -> None:
        """Free the key if this attempt holds it; forget what it chose where that is known not to exist."""
        slot, claimed = self._slot, self._claimed
        if slot is None or claimed is None:
            return
        forget = isinstance(failure, Refused)
        free: Any = lambda tx: idempotency.release(tx, slot, claimed, forget=forget)  # noqa: E731
        await self._call.dependencies.db.write(free)
