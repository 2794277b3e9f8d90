"""The way to a bank that cannot be gone: nothing is sent, and an operator must look."""

from collections.abc import Mapping

from opentill.pix.port import Denied
from opentill.pix.providers.transport import RawAnswer


class Nowhere:
    """A `Transport` that says why there is none."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> RawAnswer:
        """Raise `Denied`."""
        raise Denied(self._reason)
