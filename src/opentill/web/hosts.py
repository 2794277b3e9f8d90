"""Which host serves what: the installation's own all of it, a merchant's the pages and API its payers use (§17.5).

Nothing but the door depends on the host: the key decides whose API call it is, the token whose page, and links are
written from settings. Where the public address is an IP address or localhost, every host is the installation's own.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from opentill.db import Database, DatabaseError
from opentill.kernel.asgi import Scope
from opentill.kernel.clock import SECOND, Clock, Instant
from opentill.kernel.errors import Busy
from opentill.merchants import domains

REMEMBERED: Final = 5 * SECOND
SERVED: Final = ("/checkout", "/pay", "/invoice", "/webhook", "/api/v1", "/assets")


class Hosts:
    """Says what is served at the host of a request. Remembers merchants' hosts for a few seconds."""

    def __init__(self, db: Database, clock: Clock, public_url: str) -> None:
        self._db, self._clock = db, clock
        main = urlsplit(public_url).hostname or ""
        self._main = None if is_local(main) else main
        self._known: Mapping[str, int] = {}
        self._read_at: Instant | None = None

    async def serves(self, scope: Scope) -> bool:
        """Tell whether the path of a request exists at its host."""
        if self._main is None:
            return True
        host = _host(scope)
        if host == self._main or is_local(host):
            return True
        if host not in await self._active():
            return False
        path: str = scope["path"]
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in SERVED)

    async def _active(self) -> Mapping[str, int]:
        now = self._clock.now()
        if self._read_at is None or not 0 <= now - self._read_at < REMEMBERED:
            try:
                self._known = await self._db.read(domains.active_hosts)
                self._read_at = now
            except (DatabaseError, Busy):  # as it was known last
                pass
        return self._known


def is_local(host: str) -> bool:
    """Tell whether a host is no name that could be a merchant's: an address, localhost, or nothing."""
    if host in ("", "localhost") or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host(scope: Scope) -> str:
    """Return the name in the Host header, without its port; empty where there is none, or more than one."""
    sent = [value for name, value in scope["headers"] if name == b"host"]
    text = sent[0].decode("latin-1").strip().lower() if len(sent) == 1 else ""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")
