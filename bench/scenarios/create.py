"""P1, P2, P3: durable payment creation through the full stack, beside the limits."""

from collections.abc import Sequence
from functools import partial

from bench.bar import Bar
from bench.limits.pgbench.run import requests_per_second
from bench.limits.pgbench.script import script
from bench.results import Found
from bench.rounds import Subject
from bench.session import MERCHANTS, POOL_SIZE, Session

CONNECTIONS = {"sqlite": 64, "postgres": 16}
GROUP = 64
LIMITS = {("P1", "sqlite"): "L2", ("P2", "postgres"): "L6", ("P3", "sqlite"): "L4", ("P3", "postgres"): "L5"}


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure creation and the limits of the wanted bars in turns."""
    connections = CONNECTIONS[session.mode]
    works: dict[str, Subject] = {
        "L2": lambda seconds: session.servers.rate("L2", connections=connections, seconds=seconds),
        "L4": partial(raw_sqlite, session, GROUP),
        "L5": partial(raw_psycopg, session, POOL_SIZE),
        "L6": partial(pgbench, session),
    }
    limits = {bar.id: LIMITS[bar.id, session.mode] for bar in wanted}
    subjects = {name: works[name] for name in dict.fromkeys(limits.values())}
    subjects["creation"] = lambda seconds: session.create(seconds, connections=connections).rate
    series = session.settle(subjects, [("creation", limit) for limit in limits.values()])
    size = {"connections": connections, "merchants": MERCHANTS, "statements": len(session.request.statements)}
    size["cpu_us_per_request"] = round(session.cpu_us)
    return [
        session.judge(bar, part, series, ("creation", limits[bar.id]), unit="1/s", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]


def raw_sqlite(session: Session, group: int, seconds: float) -> float:
    """L3 (a group of one) and L4."""
    return session.raw_sqlite(group, seconds)["rate"]


def raw_psycopg(session: Session, connections: int, seconds: float) -> float:
    """L5."""
    return session.raw_psycopg(connections, seconds)["rate"]


def pgbench(session: Session, seconds: float) -> float:
    """L6."""
    assert session.cluster
    path = session.work / "creation.pgbench"
    path.write_text(script(session.request))
    url = session.fresh_database()
    return requests_per_second(session.cluster.programs, url, path, clients=POOL_SIZE, seconds=seconds)
