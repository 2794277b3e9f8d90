"""A sender of letters in a process of its own, which a failpoint may end in the middle of a letter.

python -m tests.chaos.mailing <database URL> <port of the mail server> <seconds its clock is ahead>
"""

import asyncio
import sys

from opentill.db import open_database
from opentill.kernel.clock import SECOND, Instant, SystemClock
from opentill.kernel.secret import Keyring
from opentill.workers.mail import Mailbag, send_due
from tests.usecases.mail.office import KEYS, LETTERS, server_at


class AheadClock:
    """The machine's clock, some seconds later."""

    def __init__(self, seconds: int) -> None:
        self._off = seconds * SECOND

    def now(self) -> Instant:
        return Instant(SystemClock().now() + self._off)


async def send(url: str, port: int, ahead_s: int) -> None:
    """Send everything that is due, and end."""
    async with open_database(url) as database:
        bag = Mailbag(database, AheadClock(ahead_s), Keyring(KEYS), server_at(port), LETTERS)
        while await send_due(bag, asyncio.Event()):
            pass


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
