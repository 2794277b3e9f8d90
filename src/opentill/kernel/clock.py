"""Instants and clocks. The only module that reads the real time.

An instant is an integer: microseconds since 1970-01-01 UTC, in code, in columns named `…_at`, and in SQL.
"""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType, Protocol

Instant = NewType("Instant", int)

SECOND = 1_000_000  # microseconds
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

SECONDS_KEPT = 1_024  # texts of instants

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the time. Passed as an argument, so that a test or a replay can tell another."""

    def now(self) -> Instant: ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000)


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: Instant) -> None:
        self._now = now

    def now(self) -> Instant:
        return self._now

    def advance(self, microseconds: int) -> Instant:
        """Move by *microseconds*, backwards if negative, and return the new instant."""
        self._now = Instant(self._now + microseconds)
        return self._now


def after(instant: Instant, microseconds: int) -> Instant:
    """Return the instant *microseconds* later."""
    return Instant(instant + microseconds)


def unix_seconds(instant: Instant) -> int:
    """Return whole Unix seconds, rounded down."""
    return instant // SECOND


def to_datetime(instant: Instant) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime. Exact: no float on the way."""
    return Instant((moment - _EPOCH) // timedelta(microseconds=1))


def iso_seconds(instant: Instant) -> str:
    """Render as `2026-03-07T15:30:00Z`, the form of API answers. Fractions are cut, not rounded."""
    return _iso(instant // SECOND)


@lru_cache(maxsize=SECONDS_KEPT)  # an answer holds several instants, most of them of the same second
def _iso(seconds: int) -> str:
    moment = time.gmtime(seconds)
    return (
        f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}"
        f"T{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}Z"
    )


def iso_micros(instant: Instant) -> str:
    """Render as `2026-03-07T15:30:00.123456Z`, the form of PIX webhook bodies."""
    return f"{iso_seconds(instant)[:-1]}.{instant % SECOND:06}Z"
