"""Days and nights of São Paulo, in which PIX counts its limits and merchants their days."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from opentill.kernel.clock import Instant, from_datetime, to_datetime

SAO_PAULO: Final = ZoneInfo("America/Sao_Paulo")
NIGHT_BEGINS: Final = 20  # o'clock
NIGHT_ENDS: Final = 6


def day_of(instant: Instant) -> date:
    """Return the day it is in São Paulo."""
    return to_datetime(instant).astimezone(SAO_PAULO).date()


def day_begins(day: date) -> Instant:
    """Return the first instant of a day in São Paulo."""
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=SAO_PAULO))


def day_ends(day: date) -> Instant:
    """Return the first instant after a day in São Paulo."""
    return day_begins(day + timedelta(days=1))


def is_night(instant: Instant) -> bool:
    """Tell whether the limits of the night hold: from 20:00 to 06:00."""
    hour = to_datetime(instant).astimezone(SAO_PAULO).hour
    return hour >= NIGHT_BEGINS or hour < NIGHT_ENDS
