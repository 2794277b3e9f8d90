"""Who may send next: slots for lanes, shares for classes, tokens for those with a rate (webhooks.md §5.3)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import ceil
from types import MappingProxyType
from typing import Final

from opentill.kernel.clock import SECOND, Instant, after
from opentill.webhooks.model import Breaker, Klass

QUANTUM: Final = 4  # rows per lane and round while others wait
HANGING_S: Final = 1.0  # a receiver that lets an attempt wait so long hangs
SHARES_PERCENT: Final = ((Klass.FIRST_TRY, 70), (Klass.RETRY, 90), (Klass.BULK, 100), (Klass.FIRST_TRY, 100))


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a lane with a rate may send: tokens as they were at an instant. Instants in the future count as none."""

    per_s: float
    burst: int
    tokens: float
    at: Instant

    def tokens_at(self, now: Instant) -> float:
        """Return the tokens there are at *now*."""
        return min(float(self.burst), self.tokens + self.per_s * max(0, now - self.at) / SECOND)

    def spent(self, count: int, now: Instant) -> "Bucket":
        return Bucket(self.per_s, self.burst, self.tokens_at(now) - count, now)

    @property
    def opens_at(self) -> Instant:
        """Return when there is a whole token."""
        return self.at if self.tokens >= 1 else after(self.at, ceil((1 - self.tokens) / self.per_s * SECOND))


def bucket_of(per_s: float | None, burst: int | None, tokens: float | None, at: Instant | None) -> Bucket | None:
    """Return the bucket of a lane; None for one without a rate. A bucket nobody has used yet is full."""
    if per_s is None:
        return None
    most = burst if burst is not None else max(1, ceil(per_s))
    if tokens is None or at is None:
        return Bucket(per_s, most, float(most), Instant(0))
    return Bucket(per_s, most, tokens, at)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lane that has due rows: the earliest of each class, and how much of it may run at once."""

    endpoint_id: int
    merchant_id: int
    max_in_flight: int
    open_at: Instant
    breaker: Breaker
    ramp_cap: int | None
    first_due: Mapping[Klass, Instant]
    bucket: Bucket | None = None
    seen_at: Instant | None = None  # by the clock all workers share; None on SQLite

    @property
    def cap(self) -> int:
        """Return how many attempts may run at once, the breaker considered."""
        match self.breaker:
            case Breaker.CLOSED:
                return self.max_in_flight
            case Breaker.OPEN | Breaker.HALF_OPEN:
                return 1
            case Breaker.RAMP:
                return min(self.ramp_cap or 1, self.max_in_flight)

    @property
    def next_at(self) -> Instant:
        """Return when something of this lane may be sent."""
        opens_at = self.open_at if self.bucket is None else max(self.open_at, self.bucket.opens_at)
        return max(opens_at, min(self.first_due.values()))


@dataclass(frozen=True, slots=True)
class Grant:
    """How many rows of a lane may be claimed: running and new together (*cap*), and new ones (*most*)."""

    endpoint_id: int
    merchant_id: int
    cap: int
    most: int
    classes: tuple[tuple[Klass, int], ...]  # in the order of claiming, each with its share of the cap
    trial: bool  # the breaker lets one through
    per_s: float | None = None  # the lane's rate
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class Hanging:
    """Lanes whose receivers hang, and how many more attempts they may have together."""

    lanes: frozenset[int] = frozenset()
    room: int = 0


NOBODY: Final = Hanging()


def hanging(under_way: Sequence[tuple[int, float]], *, slow: Collection[int] = (), now: float, slots: int) -> Hanging:
    """Return who hangs: the endpoints whose last attempt was *slow*, and of those *under_way* whoever lets one wait.

    Each of these is an endpoint and when its attempt began, in monotonic seconds as *now*. Who hangs gets no more than
    half of all *slots* together. Otherwise they take every slot before their breakers open, and everybody else waits
    for their timeouts.
    """
    lanes = frozenset(endpoint_id for endpoint_id, began in under_way if now - began > HANGING_S).union(slow)
    held = sum(endpoint_id in lanes for endpoint_id, _ in under_way) if lanes else 0
    return Hanging(lanes, max(slots // 2 - held, 0)) if lanes else NOBODY


def share_out(
    lanes: Sequence[Waiting],
    *,
    now: Instant,
    free: int,
    room_of: Mapping[int, int],
    room_default: int,
    after_merchant: int,
    after_lanes: Mapping[int, int] = MappingProxyType({}),
    hanging: Hanging = NOBODY,
) -> list[Grant]:
    """Share free slots among lanes: merchants in turn, then each merchant's lanes in turn, a quantum each.

    The turn starts after *after_merchant*, and within a merchant after its lane in *after_lanes*. Grants are in the
    order of turns: the next one starts after the last of them, also where its lane turns out to be full. *room_of* is
    how many more attempts a merchant may have running, *hanging* who must leave half of the slots to the others.
    """
    due = sorted((lane for lane in lanes if lane.next_at <= now), key=lambda lane: lane.merchant_id <= after_merchant)
    most = _most(due, hanging)
    ready = [lane for lane in due if most[lane.endpoint_id] > 0]
    merchants = sorted({lane.merchant_id for lane in ready}, key=lambda m: (m <= after_merchant, m))
    queues = {m: cycle(_in_turn(ready, m, after_lanes.get(m, 0))) for m in merchants}
    wanted = {m: sum(most[lane.endpoint_id] for lane in ready if lane.merchant_id == m) for m in merchants}
    room = {m: min(room_of.get(m, room_default), wanted[m]) for m in merchants}
    by_id = {lane.endpoint_id: lane for lane in ready}
    granted: dict[int, int] = {}

    turns = [m for m in merchants if room[m] > 0]
    while turns and free > 0:
        for merchant in list(turns):
            lane = next(queues[merchant])
            had = granted.get(lane.endpoint_id, 0)
            more = min(QUANTUM, most[lane.endpoint_id] - had, room[merchant], free)
            if more > 0:
                granted[lane.endpoint_id] = had + more
                room[merchant] -= more
                free -= more
            if room[merchant] <= 0:
                turns.remove(merchant)
            if free <= 0:
                break
    return [_grant(by_id[endpoint_id], most, now) for endpoint_id, most in granted.items()]


def _most(lanes: Sequence[Waiting], hanging: Hanging) -> dict[int, int]:
    """Return how many rows each lane may be granted."""
    most, room = {}, hanging.room
    for lane in lanes:
        most[lane.endpoint_id] = lane.cap
        if lane.endpoint_id in hanging.lanes:
            most[lane.endpoint_id] = min(lane.cap, QUANTUM, room)
            room -= most[lane.endpoint_id]
    return most


def _in_turn(lanes: Sequence[Waiting], merchant_id: int, after_lane: int) -> list[Waiting]:
    own = [lane for lane in lanes if lane.merchant_id == merchant_id]
    return sorted(own, key=lambda lane: (lane.endpoint_id <= after_lane, lane.endpoint_id))


def _grant(lane: Waiting, most: int, now: Instant) -> Grant:
    due = [klass for klass, at in lane.first_due.items() if at <= now]
    trial = lane.breaker in (Breaker.OPEN, Breaker.HALF_OPEN)
    if trial:
        due = [min(due, key=lambda klass: lane.first_due[klass])]
    if len(due) == 1:
        shares: tuple[tuple[Klass, int], ...] = ((due[0], lane.cap),)
    else:
        shares = tuple((klass, ceil(lane.cap * percent / 100)) for klass, percent in SHARES_PERCENT if klass in due)
    bucket = lane.bucket
    rate = (None, None) if bucket is None else (bucket.per_s, bucket.burst)
    return Grant(lane.endpoint_id, lane.merchant_id, lane.cap, most, shares, trial, *rate)
