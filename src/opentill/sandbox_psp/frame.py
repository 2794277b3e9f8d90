"""What every part of the bank works with: its books, its clock, its ids and the host of its locations."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from opentill.kernel.clock import DAY, SECOND, Clock, Instant, after, iso_seconds
from opentill.kernel.ids import Ids
from opentill.sandbox_psp.store import Store

BANK_ISPB: Final = "99999001"
PAYERS_ISPB: Final = "99999002"
PAYERS_BANK: Final = "Banco de Testes"
LOCATION_HOST: Final = "pix.sandbox.opentill.test"
MILLISECOND: Final = 1_000  # microseconds
AHEAD: Final = "ahead"  # of the installation's clock, in microseconds; a name in `meta`
AHEAD_MAX: Final = 36_525 * DAY


class MovedClock:
    """The installation's clock, moved ahead by a hook; how far is in the books, for the next start."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store
        row = store.one("select value from meta where name = :name", name=AHEAD)
        self._ahead_us = int(row["value"]) if row is not None else 0

    def now(self) -> Instant:
        return after(self._clock.now(), self._ahead_us)

    def advance(self, microseconds: int) -> bool:
        """Move further ahead; return whether that was not too far."""
        if self._ahead_us + microseconds > AHEAD_MAX:
            return False
        self._set(self._ahead_us + microseconds)
        return True

    def reset(self) -> None:
        """Go with the installation's clock again."""
        self._set(0)

    def _set(self, ahead_us: int) -> None:
        self._store.run(
            "insert into meta (name, value) values (:name, :value) on conflict (name) do update set value = :value",
            name=AHEAD,
            value=str(ahead_us),
        )
        self._ahead_us = ahead_us


@dataclass(frozen=True, slots=True)
class Frame:
    """Passed to every operation."""

    store: Store
    clock: MovedClock
    ids: Ids
    host: str = LOCATION_HOST
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # the agenda was, or the clock was moved

    def now(self) -> Instant:
        """Return the bank's time. Its documents show milliseconds, so it counts in them."""
        now = self.clock.now()
        return Instant(now - now % MILLISECOND)


def shown_at(instant: int) -> str:
    """Render as `2026-03-07T15:30:00.123Z`."""
    return f"{iso_seconds(Instant(instant))[:-1]}.{instant % SECOND // MILLISECOND:03}Z"


def shown_amount(centavos: int) -> str:
    """Render as `30.00`."""
    return f"{centavos // 100}.{centavos % 100:02}"
