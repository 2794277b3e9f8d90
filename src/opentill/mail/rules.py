"""When a letter is tried again, when it is given up, and which addresses one can be sent to."""

import re
from typing import Final

from opentill.kernel.clock import DAY, MINUTE, Instant, after

WAITS: Final = (MINUTE, 5 * MINUTE, 15 * MINUTE)
WAIT_MAX: Final = 30 * MINUTE
WORTH: Final = 3 * DAY  # a letter that was not sent by then is given up
LEASE: Final = 5 * MINUTE  # longer than one conversation can last
DOUBTS_MAX: Final = 2  # the second time nobody knows whether it arrived, it is not sent again
ADDRESS_MAX: Final = 254
ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}", re.ASCII
)


def next_try(attempts: int, *, now: Instant) -> Instant:
    """Return when to try again after so many attempts."""
    return after(now, WAITS[attempts - 1] if attempts <= len(WAITS) else WAIT_MAX)


def can_be_sent_to(address: str) -> bool:
    """Tell whether every mail server understands an address. One that does not fit is never put into a header."""
    return len(address) <= ADDRESS_MAX and ADDRESS.fullmatch(address) is not None
