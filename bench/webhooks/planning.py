"""P39: events turned into deliveries, beside a raw multi-row insert of the same rows."""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from bench.bar import Bar
from bench.results import Found
from bench.rounds import SPREAD_MAX, spread
from bench.session import Session
from bench.webhooks.rig import Rig

COUNT = "OPENTILL_BENCH_WEBHOOK_COUNT"
EVENTS = 20_000


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    return [measured(bar, session) for bar in wanted]


def measured(bar: Bar, session: Session) -> Found:
    """Plan and insert in one process, one after the other, a fresh database each round."""
    part, ratios, rates = bar.parts[0], [], []
    count = int(os.environ.get(COUNT) or EVENTS)
    for number in range(session.protocol.rounds):
        with ExitStack() as stack:
            rig = Rig(session, f"planning_{number}", stack)
            found = rig.engine("plan", count=count, urls=["http://127.0.0.1:10009/none"], of_each=1)
        ratios.append(found["rate"] / found["raw"])
        rates.append(found["rate"])
    value, width = sorted(ratios)[len(ratios) // 2], spread(ratios)
    verdict = part.verdict(value) if width <= SPREAD_MAX else "unstable"
    size = {"events": count}
    measured_rate = sorted(rates)[len(rates) // 2]
    return Found(bar, part, session.mode, verdict, value, (measured_rate, "1/s"), ratios, width, size)
