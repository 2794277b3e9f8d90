"""What P7 confirms money with: things put there before a round, of which each serves once, told of over HTTP."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from bench.load import Load
from bench.product import ProductFailed
from bench.scenarios.create import CONNECTIONS
from bench.session import Session

RATE_MIN = 8_000.0  # a second, more than the product takes word of anywhere yet: a slow round says little of the next
MARGIN = 1.6  # put there for each that is expected
SPARE = 500
CHUNK = 5_000  # rows of one transaction: the product's own writer waits for it
RUN_UP_S = 0.5  # of the load generator


@dataclass(kw_only=True)
class Desk(ABC):
    """How many were put there, and how many the product took word of."""

    template: ClassVar[str]
    things: ClassVar[str]

    session: Session
    placed: int = 0
    taken: int = 0
    rate: float = RATE_MIN

    @abstractmethod
    def place(self, count: int) -> None:
        """Put so many more there, in chunks."""

    @abstractmethod
    def message(self, number: int) -> str:
        """Return what is new in the request that tells of one of them."""

    def tell(self, seconds: float) -> Load:
        """Tell of them for some seconds. Raises ProductFailed if they run out."""
        first = self.placed + 1
        self.place(int(MARGIN * self.rate * (seconds + RUN_UP_S)) + SPARE)
        values = [(0, self.message(number)) for number in range(first, self.placed + 1)]
        connections = CONNECTIONS[self.session.mode]
        load = self.session.load([self.template], connections=connections, seconds=seconds, values=values)
        self.session.lost += load.lost + load.unanswered
        self.session.not_accepted += sum(load.statuses.values()) - load.accepted
        if load.accepted > len(values):
            raise ProductFailed(f"word of {load.accepted} was taken, of {len(values)} {self.things}")
        self.taken += load.accepted
        self.rate = max(load.rate, RATE_MIN)
        return load

    def require_as_told(self, receipts: int, events: int) -> None:
        """Raise ProductFailed unless each that was taken is booked, with one event."""
        if not receipts == events or not self.taken <= receipts <= self.taken + self.session.lost:
            raise ProductFailed(f"{self.taken} {self.things} were taken, {receipts} booked and {events} told of")
