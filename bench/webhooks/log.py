"""P38: the attempt list at size, and how long retention ever keeps a delivery waiting."""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from bench.bar import Bar, Part
from bench.results import Found
from bench.session import Session
from bench.webhooks.rig import MINUTE_S, Rig, seconds_of

ATTEMPTS = "OPENTILL_BENCH_WEBHOOK_ATTEMPTS"
WHOLE = 10_000_000
RATE = 50.0


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    return [
        found for bar in wanted for found in (listed(bar, bar.parts[0], session), delayed(bar, bar.parts[1], session))
    ]


def size() -> int:
    return int(os.environ.get(ATTEMPTS) or WHOLE)


def listed(bar: Bar, part: Part, session: Session) -> Found:
    """Read pages of deliveries with their attempts, at random places of a long log."""
    with ExitStack() as stack:
        rig = Rig(session, "log", stack)
        rig.engine("fill-log", count=size(), urls=["http://127.0.0.1:10009/none"], of_each=1)
        found = rig.engine("list")
    value = found["p95_ms"]
    return Found(bar, part, session.mode, part.verdict(value), value, (value, "ms"), size={"attempts": size()})


def delayed(bar: Bar, part: Part, session: Session) -> Found:
    """Deliver without and with retention at work; what the slowest delivery lost is retention's."""
    slowest = {}
    for retaining in (False, True):
        with ExitStack() as stack:
            rig = Rig(session, f"retention_{int(retaining)}", stack)
            address = rig.receiver()
            old = min(size(), 200_000)
            rig.engine("fill-log", count=old, urls=[f"{address}/"], of_each=1, days=100)
            rig.feed(rate=RATE, seconds=seconds_of(session, MINUTE_S), retain=retaining)
            seen = rig.reconcile()
        slowest[retaining] = max(seen.delays.values(), default=0.0)
    value = max(0.0, slowest[True] - slowest[False])
    verdict = "fail" if seen.fault else part.verdict(value)
    note = seen.fault or f"slowest {slowest[False]:.1f} ms without, {slowest[True]:.1f} ms with"
    return Found(bar, part, session.mode, verdict, value, (value, "ms"), size={"per_second": RATE}, note=note)
