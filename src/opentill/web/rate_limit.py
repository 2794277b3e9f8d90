"""Rate limits: fixed windows of one minute, aligned to whole Unix minutes (merchant-api.md §4, pix-api.md §10).

Counters live in this process (`Windows`), or in Redis for all processes together (`rate_limit_shared`). When a minute
ends all of them are forgotten, so memory is bounded by the number of different callers in one minute, and that by
BUCKETS_MAX.
"""

from typing import Final, NamedTuple, Protocol

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


class Counters(Protocol):
    """Counts requests per bucket and minute. A refused request does not count."""

    async def take(self, bucket: str, limit: int, now: Instant) -> Standing:
        """Count a request and say whether it is within the limit."""
        ...

    async def look(self, bucket: str, limit: int, now: Instant) -> Standing:
        """Say where a caller stands without counting anything."""
        ...


class Limits(Protocol):
    """Where this installation counts."""

    def counters(self, name: str, *, open_at_failure: bool) -> Counters:
        """Return the counters of one kind of request.

        Where they cannot be reached, requests pass if *open_at_failure*, else each process counts for itself.
        """
        ...

    async def close(self) -> None:
        """Let go of what was opened."""
        ...


class Windows:
    """Counters in this process: exact, and lost with it."""

    def __init__(self) -> None:
        self._window = -1
        self._taken: dict[str, int] = {}

    async def take(self, bucket: str, limit: int, now: Instant) -> Standing:
        taken = self._counts(now).get(bucket, 0)
        if taken >= limit:
            return standing(limit, limit, now, refused=True)
        if taken == 0 and len(self._taken) >= BUCKETS_MAX:
            del self._taken[next(iter(self._taken))]
        self._taken[bucket] = taken + 1
        return standing(limit, taken + 1, now, refused=False)

    async def look(self, bucket: str, limit: int, now: Instant) -> Standing:
        taken = self._counts(now).get(bucket, 0)
        return standing(limit, taken, now, refused=taken >= limit)

    def _counts(self, now: Instant) -> dict[str, int]:
        window = window_of(now)
        if window != self._window:
            self._window = window
            self._taken.clear()
        return self._taken


class OwnLimits:
    """Each process counts for itself."""

    def counters(self, name: str, *, open_at_failure: bool) -> Counters:
        return Windows()

    async def close(self) -> None:
        """There is nothing to let go of."""


def standing(limit: int, taken: int, now: Instant, *, refused: bool) -> Standing:
    """Return where a caller stands after *taken* requests."""
    resets_at_s = (window_of(now) + 1) * WINDOW_S
    return Standing(limit, max(limit - taken, 0), resets_at_s, refused, max(resets_at_s - now // SECOND, 1))


def full(limit: int, now: Instant) -> Standing:
    """Return the standing of a caller of whom nothing is counted."""
    return standing(limit, 0, now, refused=False)


def window_of(now: Instant) -> int:
    """Return the number of the minute."""
    return now // (WINDOW_S * SECOND)
