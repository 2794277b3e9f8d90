"""What the loops of the engine work with, put together by whoever starts them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from opentill.db import Database, ReadTx
from opentill.kernel.clock import Clock, Instant
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.outbound.model import KEPT_BYTES_DEFAULT
from opentill.webhooks.authorizing import Authorizing
from opentill.webhooks.clock_steps import ClockWatch
from opentill.webhooks.direct import Slots
from opentill.webhooks.model import HEARTBEAT_S, LEASE_S, TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S, Job
from opentill.webhooks.port import Sender
from opentill.webhooks.rules import PATIENCE, Patience
from opentill.webhooks.store.lanes import clock as shared_clock

IN_FLIGHT_MAX: Final = 256
IN_FLIGHT_PER_MERCHANT_MAX: Final = 64


class Wake:
    """A bell that remembers it was rung, and for which lanes. A hint: nothing is lost if it never rings."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._lanes: set[int] = set()

    def ring(self, lanes: Iterable[int] = ()) -> None:
        self._lanes.update(lanes)
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return as soon as it rings, at the latest after *timeout_s* seconds; tell whether it rang."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True

    def take_lanes(self) -> set[int]:
        """Return the lanes it was rung for since the last time."""
        taken, self._lanes = self._lanes, set()
        return taken


class Dispatching(Protocol):
    """The dispatcher of this process, as the planner sees it."""

    def reserve(self) -> Slots | None:
        """Set room aside for deliveries that are about to be planned; None if there is none."""
        ...

    def start(self, jobs: Sequence[Job], reserved: Slots, *, claimed_at: float) -> None:
        """Send what was claimed in reserved room (*claimed_at* is monotonic), and give the rest back."""
        ...


@dataclass(slots=True)
class Engine:
    """The engine's means and limits in one process. Belongs to the event loop it is made on."""

    db: Database
    sender: Sender
    keyring: Keyring
    ids: Ids
    clock: Clock
    worker: str  # who holds the leases: unique per process and start
    chance: Random = field(default_factory=Random)
    lease_s: int = LEASE_S
    heartbeat_s: int = HEARTBEAT_S
    timeout_default_s: int = TIMEOUT_DEFAULT_S
    timeout_max_s: int = TIMEOUT_MAX_S
    in_flight_max: int = IN_FLIGHT_MAX
    in_flight_per_merchant_max: int = IN_FLIGHT_PER_MERCHANT_MAX
    keep_private_answers: bool = False
    answer_kept_bytes: int = KEPT_BYTES_DEFAULT
    trusts_database_clock: bool = True  # PostgreSQL: all workers go by its clock; off where a test tells the time
    works_alone: bool = False  # no other process delivers: what is claimed at the start was left by a crash
    validates_bodies: bool = False  # holds every body against its schema while planning
    patience: Patience = PATIENCE
    watch: ClockWatch = field(default_factory=ClockWatch)
    to_plan: Wake = field(default_factory=Wake)
    to_send: Wake = field(default_factory=Wake)
    authorizing: Authorizing = field(init=False)
    dispatching: Dispatching | None = None  # set while a dispatcher runs in this process

    def __post_init__(self) -> None:
        self.authorizing = Authorizing(self.sender)

    def now(self, tx: ReadTx) -> Instant:
        """Return the time all workers agree on."""
        shared = shared_clock(tx) if self.trusts_database_clock else None
        return self.clock.now() if shared is None else shared
