"""P16: the payer's page at fifty a second, beside the time the null endpoint takes for one request."""

from collections.abc import Sequence

from bench.audit import query
from bench.bar import Bar
from bench.load import VALUE, Plan, run, template
from bench.results import Found
from bench.session import Session

PAGES_PER_S = 50.0
CONNECTIONS = 8
PAYMENTS = 1_000
FILL_S = 2.0


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure what a page takes from the planned instant on, on one machine; and the null endpoint at one caller."""
    while session.acknowledged < PAYMENTS:
        session.create(FILL_S, connections=CONNECTIONS)
    tokens = [(0, str(token)) for (token,) in query(session.install, f"select token from payment limit {PAYMENTS}")]
    page = template("GET", f"/checkout/{VALUE}", {"Accept": "text/html", "Accept-Encoding": "gzip"})

    def null(seconds: float) -> float:
        return 1000 / session.servers.rate("L2", connections=1, seconds=seconds)

    def shown(seconds: float) -> float:
        plan = Plan("127.0.0.1", session.server.port, CONNECTIONS, seconds, 0.5, [page], tokens, rate=PAGES_PER_S)
        load = run(plan)
        session.not_accepted += sum(load.statuses.values()) - load.accepted
        return load.p50_ms

    series = session.settle({"L2 ms": null, "page": shown}, [("page", "L2 ms")])
    size = {"pages_per_s": PAGES_PER_S, "payments": len(tokens)}
    return [
        session.judge(bar, part, series, ("page", "L2 ms"), unit="ms", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]
