"""P34 and P37: what a long queue costs: the time of a claim, and the memory of a worker whose receivers hang."""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from bench.bar import Bar
from bench.results import Found
from bench.session import Session
from bench.webhooks.rig import Rig

DUE = "OPENTILL_BENCH_WEBHOOK_DUE"
FEW, MANY = 1_000, 1_000_000
HANG = "/hang"
HOLD_S = 20.0
ENDPOINTS = 6  # of 50 each: more than the 256 a process may have under way


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    ways = {"P34": claims, "P37": memory}
    return [ways[bar.id](bar, session) for bar in wanted]


def many() -> int:
    return int(os.environ.get(DUE) or MANY)


def claims(bar: Bar, session: Session) -> Found:
    """Claim from a short queue and from a long one."""
    part, times = bar.parts[0], []
    for count in (FEW, many()):
        with ExitStack() as stack:
            rig = Rig(session, f"claim_{count}", stack)
            rig.engine("fill-bare", count=count, urls=["http://127.0.0.1:10009/none"], of_each=1)
            times.append(rig.engine("claim")["p95_ms"])
    short, long = times
    value = long / short
    size = {"due": many(), "p95_ms_few": round(short, 2)}
    return Found(bar, part, session.mode, part.verdict(value), value, (long, "ms"), size=size)


def memory(bar: Bar, session: Session) -> Found:
    """Let every attempt hang beside a long queue, and look at the memory of the process that delivers."""
    part = bar.parts[0]
    with ExitStack() as stack:
        rig = Rig(session, "memory", stack, merchants=ENDPOINTS)
        address = rig.receiver()
        urls = [f"{address}{HANG}" for _ in range(ENDPOINTS)]
        rig.engine("fill-bare", count=many(), urls=urls, of_each=1, merchants=ENDPOINTS)
        found = rig.engine("hold", seconds=HOLD_S)
    value = found["megabytes"]
    size = {"due": many(), "in_flight": found["in_flight"]}
    return Found(bar, part, session.mode, part.verdict(value), value, (value, "MB"), size=size)
