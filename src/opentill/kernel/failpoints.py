"""Named places where a test tells a process to die, to stand still or to fail (webhooks.md §16.2, bars.md R1).

    OPENTILL_FAILPOINT=plan.locked:exit:3    ends the process, as `kill -9` does, the third time it comes to that place

`pause` stops it there until it is continued, `raise` fails there. Only tests set it, before the process starts, or
`arm` a process they have forked; without either a place is a call that returns.
"""

import os
import signal
from itertools import count
from typing import Final

WEBHOOKS: Final = frozenset({
    "event.recorded", "event.committed",
    "plan.locked", "plan.rendered", "plan.committed",
    "claim.locked", "claim.committed",
    "send.resolved", "send.connected", "send.headers_written", "send.body_written",
    "answer.status", "answer.body",
    "complete.flushing", "complete.committed",
    "heartbeat", "reclaim", "disable", "activate.batch", "replay.batch", "rotate", "feed.numbered", "retain.batch",
    "shutdown",
})  # fmt: skip

# Where money's flows enter or leave a transaction or a call to a provider.
MONEY: Final = frozenset({
    "callback.applied", "callback.kept", "callback.taken",
    "charge.abandoned", "charge.announced", "charge.cancelling", "charge.confirmed", "charge.expiring",
    "charge.given_up", "charge.intended", "charge.looked_at", "charge.made", "charge.read", "charge.removed",
    "charge.written", "contest.heard", "defence.sent", "defence.taken", "gateway.answered",
    "hint.ended", "hint.ending", "hint.read", "journal.posted", "key.answered", "key.claimed", "key.kept",
    "notification.stored", "notification.written", "payment.created", "payment.ending", "payment.expired",
    "payout.accepted", "payout.asked", "payout.confirming", "payout.doubted", "payout.failing", "payout.heard",
    "payout.hearing", "payout.refused", "payout.returning", "payout.submitted", "payout.taken", "payout.taken_again",
    "receipt.accepted", "receipt.booked", "receipt.counted", "receipt.credited", "receipt.held", "receipt.suspended",
    "refund.answered", "refund.concluded", "refund.concluding", "refund.intended", "refund.taken", "refund.written",
    "review.approved", "session.concluded", "session.concluding", "session.opened",
    "submission.noted", "submission.written", "sweep.booked", "sweep.closed", "sweep.listed",
})  # fmt: skip

# Where a letter is kept, taken, and given to the mail server.
MAIL: Final = frozenset({"mail.posted", "mail.claimed", "mail.handed"})

PLACES: Final = WEBHOOKS | MONEY | MAIL

_armed = os.environ.get("OPENTILL_FAILPOINT", "")
_visits = count(1)


class FailedHere(Exception):  # noqa: N818 - names what happened
    """A test wanted this place to fail."""


def reach(place: str) -> None:
    """Come to a place: do there what a test asked for, if it did."""
    if _armed:
        _act(place, *_armed.split(":"))


def arm(wanted: str) -> None:
    """Have this process do what a test wants: `<place>:<action>:<visit>`, as OPENTILL_FAILPOINT says it."""
    global _armed
    _armed = wanted


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
