"""P10: what one caller waits for a creation, beside the same statements run by a single client."""

from collections.abc import Sequence

from bench.bar import Bar
from bench.results import Found
from bench.session import MERCHANTS, Session

LIMIT_MS = {"sqlite": "L3 ms", "postgres": "L5 ms"}


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure the p50 over one connection and the p50 of the raw loop with one connection, in turns."""

    def raw(seconds: float) -> float:
        if session.cluster:
            return session.raw_psycopg(1, seconds)["p50_ms"]
        return session.raw_sqlite(1, seconds)["p50_ms"]

    def create(seconds: float) -> float:
        return session.create(seconds, connections=1).p50_ms

    limit = LIMIT_MS[session.mode]
    series = session.settle({limit: raw, "create": create}, [("create", limit)])
    size = {"connections": 1, "merchants": MERCHANTS, "statements": len(session.request.statements)}
    return [
        session.judge(bar, part, series, ("create", limit), unit="ms", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]
