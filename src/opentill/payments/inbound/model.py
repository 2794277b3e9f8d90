"""What a callback is: values, no behaviour."""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner


class CallbackState(StrEnum):
    """What became of a callback."""

    RECEIVED = "received"  # authentic, and applied with the row
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose address it may be, and from where that merchant takes callbacks; no networks: from anywhere."""

    owner: Owner
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Callback:
    """A request of a provider, as it came. *event_key* is None where it was rejected: that counts for nothing."""

    owner: Owner
    gateway: str
    event_key: str | None
    method: str
    url: str
    headers: str  # JSON, without credentials
    body: bytes
    at: Instant

    def named(self, event_id: str | None, *, longest: int) -> Self:
        """Return the callback under the provider's name of its event; without one its body is its name.

        The two kinds of name never meet: a body's is a bare hash.
        """
        if event_id is None:
            return self
        short = event_id if len(event_id) <= longest else hashlib.sha256(event_id.encode()).hexdigest()
        return replace(self, event_key=f"id:{short}")


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """A callback of the log, with its payment where it named one. *times*: how often it came."""

    id: int
    public_id: str
    gateway: str
    state: CallbackState
    reason: str
    status: int
    url: str
    body: bytes
    times: int
    payment_id: int | None
    payment_reference: str | None
    created_at: Instant
