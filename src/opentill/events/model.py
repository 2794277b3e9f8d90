"""A fact that happened. The keys of its document are listed in docs/events.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner


class Audience(IntEnum):
    """Who a fact is for."""

    BUSINESS = 0
    OPERATIONAL = 1
    TEST = 2


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to record. A dialect whose name is None never hears of it (webhooks.md §10)."""

    type: str
    owner: Owner
    object_type: str
    object_id: str
    at: Instant
    document: Mapping[str, Any]
    merchant_type: str | None = None
    pix_type: str | None = None
    audience: Audience = Audience.BUSINESS
    routing: Mapping[str, str] = field(default_factory=dict)
