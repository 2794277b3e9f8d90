"""The switches of the installation, as every request needs them: asked for at most once a second."""

from typing import Final

from opentill.db import Database, DatabaseError
from opentill.kernel.clock import SECOND, Instant
from opentill.operators import install
from opentill.operators.install import Install

REMEMBERED: Final = SECOND


class Switches:
    """Remembers what operators have set for a second."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known = Install()
        self._read_at: Instant | None = None

    async def now(self, now: Instant) -> Install:
        """Return the switches; while the database is away, the last that were known."""
        if self._read_at is None or not 0 <= now - self._read_at < REMEMBERED:
            self._read_at = now
            try:
                self._known = await self._db.read(install.read)
            except DatabaseError:
                self._read_at = None
        return self._known
