"""Identity and chance. The only module that draws real random bytes.

Callers add the prefixes (`txn_`, `evt_`, `wh_` …); the forms are listed in merchant-api.md §7,
pix-api.md §8.3 and webhooks.md §2.1.
"""

import secrets
from random import Random
from string import ascii_lowercase, digits
from typing import Protocol

from opentill.kernel.clock import Clock, SystemClock

ALPHANUMERIC = ascii_lowercase + digits


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
        return secrets.token_bytes(length)

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
