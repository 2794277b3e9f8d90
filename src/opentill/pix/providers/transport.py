"""How an adapter's request reaches a bank, without saying which way it goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back, whatever it is. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Carries one request to a bank and its answer back. Follows no redirect."""

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> RawAnswer:
        """Return the whole answer. Raises `NotSent` when the request certainly never left, else `Ambiguous`.

        Where an account has no way to its bank at all, `Denied`.
        """
        ...
