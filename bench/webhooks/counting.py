"""P35: SQL statements the engine runs for a delivery, at 1,000 a second, from the product's own trace."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.bar import Bar
from bench.results import Found
from bench.session import Session
from bench.webhooks.rig import MINUTE_S, Rig, seconds_of

RATE = "OPENTILL_BENCH_WEBHOOK_RATE"
PER_SECOND = 1000.0
ENDPOINTS = 100
FEEDER = (
    "insert into event ",
    "select (select count(*) from webhook_delivery where state in (0, 1))",
)  # not the engine's
TOLD = 12


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    return [counted(bar, session) for bar in wanted]


def counted(bar: Bar, session: Session) -> Found:
    """Deliver under load with statements traced, and divide."""
    part, rate, seconds = bar.parts[0], float(os.environ.get(RATE) or PER_SECOND), seconds_of(session, MINUTE_S)
    with ExitStack() as stack:
        rig = Rig(session, "statements", stack, merchants=ENDPOINTS)
        address = rig.receiver()
        rig.engine("fill", count=0, urls=[f"{address}/{n}" for n in range(ENDPOINTS)], of_each=1)
        trace = rig.work / "trace.txt"
        rig.traced = str(trace)
        fed = rig.feed(rate=rate, seconds=seconds, merchants=ENDPOINTS)
        seen = rig.reconcile()
    statements = by_text(trace)
    value = sum(statements.values()) / max(1, fed["recorded"])
    told = "; ".join(f"{count} × {text}" for text, count in statements.most_common(TOLD))
    verdict = "fail" if seen.fault else part.verdict(value)
    size = {"deliveries": fed["recorded"], "per_second": rate, "seconds": seconds}
    return Found(bar, part, session.mode, verdict, value, (value, "1"), size=size, note=seen.fault or told)


def by_text(trace: Path) -> Counter[str]:
    """Count the engine's statements by how they begin; those of the feeder are left out."""
    return Counter(text for text in texts(trace.open()) if not text.startswith(FEEDER))


def texts(lines: Iterable[str]) -> Iterable[str]:
    """Return the beginning of every statement of a trace, which has a unit of work a line."""
    for line in lines:
        for statement in json.loads(line)["statements"]:
            yield " ".join(statement["sql"].split())[:70]
