"""Noticing that the clock was set, and moving what waits along with it (webhooks.md §5.9).

A process compares how far the shared clock advanced with how far its own monotonic clock did. Whoever notices a
difference first repairs it for all: what was shifted in all stands in one row, and a step that is in there already is
none any more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import SECOND, Instant
from opentill.webhooks.store import clock as store

STEP_MIN: Final = 5 * SECOND


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the clocks said at one moment, and how far waiting times had been shifted by then."""

    now: Instant
    monotonic: float
    shifted: int


class ClockWatch:
    """The watch of one process. Look often: what a step does harm to is what happens before it is noticed."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: _Sight | None = None

    def has_stepped(self, now: Instant) -> bool:
        """Tell whether the shared clock says something impossible: nothing should be claimed or reclaimed by it."""
        return self._last is not None and abs(self._difference(self._last, now, self._monotonic())) > STEP_MIN

    def look(self, tx: ReadTx, now: Instant) -> int:
        """Compare the clocks; return by how much the shared one was set, if nobody has repaired that yet."""
        last, sight = self._last, _Sight(now, self._monotonic(), store.shifted(tx))
        step = 0 if last is None else self._difference(last, sight.now, sight.monotonic)
        step -= 0 if last is None else sight.shifted - last.shifted
        if abs(step) > STEP_MIN:
            return step
        self._last = sight
        return 0

    @staticmethod
    def _difference(last: _Sight, now: Instant, monotonic: float) -> int:
        return (now - last.now) - round((monotonic - last.monotonic) * SECOND)


def repair(tx: Tx, step: int, watch: ClockWatch, now: Instant) -> int:
    """Shift what waits by a step, unless another process has meanwhile; return how many microseconds that was."""
    store.lock(tx)
    still = watch.look(tx, now) if step else 0
    if still:
        store.shift(tx, still)
        watch.look(tx, now)
    return still
