"""Handing fresh deliveries straight to the dispatcher of the same process (webhooks.md §3.2, last paragraph).

A delivery whose lane is healthy and has nothing waiting may be planned as *sending*, generation 1: the planner's
transaction is then its claim, and the request leaves one commit earlier.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.webhooks.model import LEASE_S, Endpoint, EndpointState, Kind, Ordering, RecordedEvent
from opentill.webhooks.routing import Destination
from opentill.webhooks.rules import NOBODY, Hanging
from opentill.webhooks.store import lanes as store
from opentill.webhooks.store.lanes import LaneRoom


@dataclass(frozen=True, slots=True)
class Slots:
    """What the dispatcher of this process has room for: in all, for each merchant, and for those that hang together."""

    worker: str
    most: int
    room_of: Mapping[int, int] = field(default_factory=dict)
    room_default: int = 0
    lease_s: int = LEASE_S
    hanging: Hanging = NOBODY


class Picker:
    """Decides, delivery by delivery in the order of events, which go straight out. Lives for one transaction."""

    def __init__(self, tx: Tx, endpoints: Iterable[Endpoint], slots: Slots | None, *, now: Instant) -> None:
        self.worker = "" if slots is None else slots.worker
        self.lease_s = LEASE_S if slots is None else slots.lease_s
        self._hanging = NOBODY.lanes if slots is None else slots.hanging.lanes
        self._room_of_hanging = 0 if slots is None else slots.hanging.room
        self._endpoints = {e.id: e for e in endpoints if _may_send(e)}
        self._left = 0 if slots is None else slots.most
        self._room_of = {} if slots is None else dict(slots.room_of)
        self._room_default = 0 if slots is None else slots.room_default
        self._rooms: dict[int, LaneRoom] = {}
        if self._left > 0 and self._endpoints:
            caps = {e.id: e.options.max_in_flight for e in self._endpoints.values()}
            self._rooms = store.idle_lanes(tx, caps, now=now)

    def takes(self, event: RecordedEvent, destination: Destination) -> bool:
        """Tell whether a delivery goes straight out, and count it."""
        endpoint_id = destination.endpoint_id
        if endpoint_id is None or destination.held or endpoint_id not in self._rooms:
            return False
        lane = self._rooms[endpoint_id]
        is_ordered = destination.ordering is not Ordering.NONE
        taken = not (is_ordered and event.object_key in lane.busy_objects) and self._has_room(endpoint_id, lane)
        if is_ordered:  # whether under way or waiting, it now comes before the next of its object
            lane.busy_objects.add(event.object_key)
        return taken

    def _has_room(self, endpoint_id: int, lane: LaneRoom) -> bool:
        merchant_id = self._endpoints[endpoint_id].owner.merchant_id
        room = self._room_of.get(merchant_id, self._room_default)
        hangs = endpoint_id in self._hanging
        if self._left <= 0 or lane.free <= 0 or room <= 0 or (hangs and self._room_of_hanging <= 0):
            return False
        self._room_of_hanging -= hangs
        self._left -= 1
        lane.free -= 1
        self._room_of[merchant_id] = room - 1
        return True


def _may_send(endpoint: Endpoint) -> bool:
    """Tell whether deliveries may be planned as claimed; those of a lane with a rate wait for their tokens."""
    has_no_rate = endpoint.options.rate_per_s is None
    return endpoint.kind is not Kind.CALLBACK and endpoint.state is EndpointState.ACTIVE and has_no_rate
