"""Callers that were recognised a moment ago are not looked up again.

A key that is revoked or locked stops working on the next request (merchant-api.md §2.3); the memory here never
outlives one second, and holds no key in clear.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

from opentill.kernel.clock import MINUTE, SECOND, Instant

REMEMBERED: Final = SECOND
REMEMBERED_MAX: Final = 10_000  # callers
TOUCHED_EVERY: Final = MINUTE

C = TypeVar("C")


class _Known(NamedTuple, Generic[C]):
    caller: C
    seen_at: Instant


class Callers(Generic[C]):
    """Remembers who presented what, for at most a second. Unknown callers are not remembered."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known[C]] = {}
        self._touched: dict[int, Instant] = {}

    async def recognise(self, presented: str, now: Instant, look_up: Callable[[], Awaitable[C | None]]) -> C | None:
        """Return who presents this text, asking *look_up* if that was not asked within the last second."""
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and 0 <= now - known.seen_at < REMEMBERED:
            return known.caller
        self._known.pop(digest, None)
        caller = await look_up()
        if caller is not None:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[digest] = _Known(caller, now)
        return caller

    def forget(self) -> None:
        """Look everybody up again: a key has changed."""
        self._known.clear()

    def to_touch(self, caller_id: int, now: Instant) -> bool:
        """Tell, once a minute for each caller, that its last use is to be written down."""
        if 0 <= now - self._touched.get(caller_id, Instant(-TOUCHED_EVERY)) < TOUCHED_EVERY:
            return False
        if len(self._touched) >= REMEMBERED_MAX:
            self._touched.clear()
        self._touched[caller_id] = now
        return True
