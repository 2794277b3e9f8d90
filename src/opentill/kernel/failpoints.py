"""Named places where a test tells a process to die, to stand still or to fail (webhooks.md §16.2).

    OPENTILL_FAILPOINT=plan.locked:exit:3    ends the process, as `kill -9` does, the third time it comes to that place

`pause` stops it there until it is continued, `raise` fails there. Only tests set it, before the process starts;
without it a place is a call that returns.
"""

import os
import signal
from itertools import count
from typing import Final

ARMED: Final = os.environ.get("OPENTILL_FAILPOINT", "")

PLACES: Final = frozenset({
    "event.recorded", "event.committed",
    "plan.locked", "plan.rendered", "plan.committed",
    "claim.locked", "claim.committed",
    "send.resolved", "send.connected", "send.headers_written", "send.body_written",
    "answer.status", "answer.body",
    "complete.flushing", "complete.committed",
    "heartbeat", "reclaim", "disable", "activate.batch", "replay.batch", "rotate", "feed.numbered", "retain.batch",
    "shutdown",
})  # fmt: skip

_visits = count(1)


class FailedHere(Exception):  # noqa: N818 - names what happened
    """A test wanted this place to fail."""


def reach(place: str) -> None:
    """Come to a place: do there what a test asked for, if it did."""
    if ARMED:
        _act(place, *ARMED.split(":"))


def _act(place: str, wanted: str, action: str = "exit", visit: str = "1") -> None:
    if wanted not in PLACES or place not in PLACES:
        raise LookupError(f"there is no failpoint {wanted if wanted not in PLACES else place}")
    if place != wanted or next(_visits) != int(visit):
        return
    match action:
        case "exit":
            os.kill(os.getpid(), signal.SIGKILL)
        case "pause":
            os.kill(os.getpid(), signal.SIGSTOP)
        case _:
            raise FailedHere(place)
