"""P30, P31, P32: how long deliveries take under a steady load, counted from the instant each event was planned for.

Arrivals are fixed in advance (open loop), so that an engine that falls behind shows it in every later event.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from bench.bar import Bar
from bench.load import quantile
from bench.results import Found
from bench.session import Session
from bench.webhooks.rig import Rig, seconds_of

RATES = {"P30": 200.0, "P31": 1000.0, "P32": 2000.0}
ENDPOINTS = 100
BACKLOG_S_MAX = 1.0  # of events unfinished when the last is recorded: more means that the engine falls behind
QUANTILES = {"p95": 0.95, "p99": 0.99}


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Keep up each rate and match every id."""
    return [found for bar in wanted for found in at_rate(bar, session)]


def at_rate(bar: Bar, session: Session) -> Sequence[Found]:
    rate, seconds = RATES[bar.id], seconds_of(session)
    with ExitStack() as stack:
        rig = Rig(session, bar.id.lower(), stack, merchants=ENDPOINTS)
        address = rig.receiver()
        rig.engine("fill", count=0, urls=[f"{address}/{n}" for n in range(ENDPOINTS)], of_each=1)
        fed = rig.feed(rate=rate, seconds=seconds, merchants=ENDPOINTS)
        seen = rig.reconcile()
        rig.install.verify()
    ordered = sorted(seen.delays.values())
    size = {"events": fed["recorded"], "seconds": seconds, "endpoints": ENDPOINTS, "duplicates": seen.duplicates}
    note = f"p50 {quantile(ordered, 0.5):.1f} ms, backlog at the end {fed['backlog']}"
    shed = fed["shed"] and f"the database took no more: {fed['shed']} events were refused; {note}"
    behind = fed["backlog"] > BACKLOG_S_MAX * rate and "the engine fell behind: " + note
    fault = seen.fault or (f"{fed['left']} deliveries were never finished" if fed["left"] else "") or shed or behind
    rows = []
    for part in bar.parts_in(session.mode):
        value = quantile(ordered, QUANTILES[part.name])
        verdict = "fail" if fault else part.verdict(value)
        row = Found(bar, part, session.mode, verdict, value, (value, "ms"), size=size)
        rows.append(replace(row, note=fault or note))
    return rows
