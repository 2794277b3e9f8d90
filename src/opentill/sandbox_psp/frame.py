"""What every part of the bank works with: its books, its clock, its ids and the host of its locations."""

from dataclasses import dataclass
from typing import Final

from opentill.kernel.clock import SECOND, Clock, Instant, iso_seconds
from opentill.kernel.ids import Ids
from opentill.sandbox_psp.store import Store

BANK_ISPB: Final = "99999001"
PAYERS_ISPB: Final = "99999002"
PAYERS_BANK: Final = "Banco de Testes"
LOCATION_HOST: Final = "pix.sandbox.opentill.test"
MILLISECOND: Final = 1_000  # microseconds


@dataclass(frozen=True, slots=True)
class Frame:
    """Passed to every operation."""

    store: Store
    clock: Clock
    ids: Ids
    host: str = LOCATION_HOST

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
