"""P36: bad endpoints and good ones: what hanging and dripping receivers cost the others, at 500 events a second."""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from bench.bar import Bar
from bench.load import quantile
from bench.results import Found
from bench.session import Session
from bench.webhooks.rig import MINUTE_S, Rig, seconds_of

RATE = "OPENTILL_BENCH_WEBHOOK_RATE"
PER_SECOND = 500.0
ENDPOINTS = 100
BAD = {"2 bad of 100": 2, "10 bad of 100": 10}


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure the healthy alone, then beside bad ones."""
    normal, fault = p95(session, 0)
    rows = []
    for bar in wanted:
        for part in bar.parts_in(session.mode):
            found, wrong = p95(session, BAD[part.name])
            value = found / normal if normal else 0.0
            verdict = "fail" if fault or wrong else part.verdict(value)
            size = {"per_second": rate(), "seconds": seconds_of(session, MINUTE_S), "p95_ms_normal": round(normal, 2)}
            note = fault or wrong
            rows.append(Found(bar, part, session.mode, verdict, value, (found, "ms"), size=size, note=note))
    return rows


def rate() -> float:
    return float(os.environ.get(RATE) or PER_SECOND)


def p95(session: Session, bad: int) -> tuple[float, str]:
    """Return the p95 of healthy endpoints, and what is wrong. Bad ones come first; half of them hang, half drip."""
    with ExitStack() as stack:
        rig = Rig(session, f"isolation_{bad}", stack, merchants=ENDPOINTS)
        address = rig.receiver()
        ways = ["hang" if n % 2 == 0 else "drip" for n in range(bad)]
        urls = [f"{address}/{way}" for way in ways] + [f"{address}/{n}" for n in range(bad, ENDPOINTS)]
        rig.engine("fill", count=0, urls=urls, of_each=1)
        rig.feed(rate=rate(), seconds=seconds_of(session, MINUTE_S), merchants=ENDPOINTS, healthy_from=bad)
        seen = rig.reconcile()
    ordered = sorted(seen.delays.values())
    return quantile(ordered, 0.95), seen.fault
