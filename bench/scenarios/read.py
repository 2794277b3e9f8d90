"""P6: one payment read by its id, beside the two null servers."""

from collections.abc import Sequence

from bench.audit import query
from bench.bar import Bar
from bench.results import Found
from bench.scenarios.requests import reading
from bench.session import Session

CONNECTIONS = 16
PAYMENTS = 100_000
FILL_CONNECTIONS = 64
FILL_STEP_S = 5.0


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure reads of payments chosen by chance among 100,000."""
    templates, values = stored(session)

    def read(seconds: float) -> float:
        load = session.load(templates, connections=CONNECTIONS, seconds=seconds, values=values)
        session.not_accepted += sum(load.statuses.values()) - load.accepted
        return load.rate

    subjects = {
        name: lambda seconds, name=name: session.servers.rate(name, connections=CONNECTIONS, seconds=seconds)
        for name in ("L1", "L2")
    }
    series = session.settle({**subjects, "read": read}, [("read", "L2"), ("read", "L1")])
    size = {"connections": CONNECTIONS, "payments": len(values), "cpu_us_per_request": round(session.cpu_us)}
    return [
        session.judge(bar, part, series, ("read", str(part.limit)), unit="1/s", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]


def stored(session: Session) -> tuple[Sequence[str], Sequence[tuple[int, str]]]:
    """Create payments until there are enough; return a template per merchant, and who owns which payment."""
    while session.acknowledged < session.payments:
        session.create(FILL_STEP_S, connections=FILL_CONNECTIONS)
    sql = "select m.uuid, p.uuid from payment p join merchant m on m.id = p.merchant_id order by p.id"
    rows = query(session.install, f"{sql} limit {session.payments}")
    number = {merchant.merchant_id: at for at, merchant in enumerate(session.merchants)}
    templates = [reading(merchant) for merchant in session.merchants]
    return templates, [(number[merchant], payment) for merchant, payment in rows if merchant in number]
