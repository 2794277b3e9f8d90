"""Identity and chance. The only module that draws real random bytes.

Callers add the prefixes (`txn_`, `evt_`, `wh_` …); the forms are listed in merchant-api.md §7,
pix-api.md §8.3 and webhooks.md §2.1.
"""

import hashlib
import os
from random import Random
from string import ascii_lowercase, digits
from threading import Lock
from typing import Final, Protocol

from opentill.kernel.clock import Clock, SystemClock

ALPHANUMERIC = ascii_lowercase + digits
DRAWN_BYTES: Final = 4096
"""Asked of the system at once: a payment needs a dozen random texts, and asking for each took a tenth of its time."""


class _Drawn:
    """Random bytes of the system. Each is given away once, whichever thread asks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bytes, self._next = b"", 0
        os.register_at_fork(after_in_child=self._forget)  # a child must not give away its parent's

    def take(self, length: int) -> bytes:
        with self._lock:
            end = self._next + length
            if end > len(self._bytes):
                self._bytes, end = os.urandom(max(DRAWN_BYTES, length)), length
            self._next = end
            return self._bytes[end - length : end]

    def _forget(self) -> None:
        self._bytes, self._next = b"", 0


random_bytes = _Drawn().take


class Ids(Protocol):
    """Makes identifiers. Passed as an argument, so that a seed replays a run."""

    def token_bytes(self, length: int) -> bytes: ...
    def hex(self, characters: int) -> str: ...
    def alnum(self, characters: int) -> str: ...
    def uuid7(self) -> str: ...
    def timed_hex(self, characters: int = 24) -> str: ...


class _Made:
    """The forms, given a source of bytes and a clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def token_bytes(self, length: int) -> bytes:
        return random_bytes(length)

    def hex(self, characters: int) -> str:
        """Return random lower-case hex."""
        return self.token_bytes((characters + 1) // 2).hex()[:characters]

    def alnum(self, characters: int) -> str:
        """Return random `[a-z0-9]`. Bytes that would favour some characters are thrown away."""
        made = ""
        while len(made) < characters:
            made += "".join(ALPHANUMERIC[b % 36] for b in self.token_bytes(2 * characters) if b < 252)
        return made[:characters]

    def timed_hex(self, characters: int = 24) -> str:
        """Return hex that sorts by time: twelve digits of Unix milliseconds, the rest random.

        Indexes grow at one end only, which keeps writes as fast at a million rows as at ten.
        """
        return f"{self._clock.now() // 1_000:012x}" + self.hex(characters - 12)

    def uuid7(self) -> str:
        """Return a UUID of version 7 (RFC 9562), which sorts by time."""
        made = self.timed_hex(32)
        variant = "89ab"[int(made[16], 16) & 3]
        return f"{made[:8]}-{made[8:12]}-7{made[13:16]}-{variant}{made[17:20]}-{made[20:]}"


class SystemIds(_Made):
    """Unguessable ids for real use."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())


class SeededIds(_Made):
    """The same ids for the same seed, for tests and replays. Guessable: never for real use."""

    def __init__(self, seed: int, clock: Clock) -> None:
        super().__init__(clock)
        self._random = Random(seed)  # noqa: S311 - guessable on purpose, see above

    def token_bytes(self, length: int) -> bytes:
        return self._random.randbytes(length)


def uuid_of(name: str) -> str:
    """Return the UUID that stands for a name: the same one for the same name, of version 8 (RFC 9562)."""
    made = hashlib.sha256(name.encode()).hexdigest()
    return f"{made[:8]}-{made[8:12]}-8{made[13:16]}-8{made[17:20]}-{made[20:32]}"
