"""Rate limits: fixed windows of one minute, aligned to whole Unix minutes (merchant-api.md §4, pix-api.md §10).

Counters live in this process. When a minute ends all of them are forgotten, so memory is bounded by the number of
different callers in one minute, and that by BUCKETS_MAX.
"""

from typing import Final, NamedTuple

from opentill.kernel.clock import SECOND, Instant

WINDOW_S: Final = 60
BUCKETS_MAX: Final = 100_000  # callers counted at once; beyond that the longest-known is counted anew


class Standing(NamedTuple):
    """Where a caller stands in the current window, this request included."""

    limit: int
    remaining: int
    resets_at_s: int  # Unix seconds
    refused: bool
    retry_after_s: int  # until the next window, at least 1


class Windows:
    """Counts requests per bucket and minute. A refused request does not count."""

    def __init__(self) -> None:
        self._window = -1
        self._taken: dict[str, int] = {}

    def take(self, bucket: str, limit: int, now: Instant) -> Standing:
        """Count a request and say whether it is within the limit."""
        taken = self._counts(now).get(bucket, 0)
        if taken < limit:
            taken += 1
            if taken == 1 and len(self._taken) >= BUCKETS_MAX:
                del self._taken[next(iter(self._taken))]
            self._taken[bucket] = taken
            return self._standing(limit, limit - taken, now, refused=False)
        return self._standing(limit, 0, now, refused=True)

    def look(self, bucket: str, limit: int, now: Instant) -> Standing:
        """Say where a caller stands without counting anything."""
        taken = self._counts(now).get(bucket, 0)
        return self._standing(limit, max(limit - taken, 0), now, refused=taken >= limit)

    def _counts(self, now: Instant) -> dict[str, int]:
        window = now // (WINDOW_S * SECOND)
        if window != self._window:
            self._window = window
            self._taken.clear()
        return self._taken

    def _standing(self, limit: int, remaining: int, now: Instant, *, refused: bool) -> Standing:
        resets_at_s = (self._window + 1) * WINDOW_S
        return Standing(limit, remaining, resets_at_s, refused, max(resets_at_s - now // SECOND, 1))
