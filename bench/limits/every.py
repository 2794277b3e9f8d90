"""All limits of one mode by themselves, for `make limits`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.limits import export
from bench.limits import sum as total
from bench.limits.pgbench import function
from bench.limits.pgbench.run import requests_per_second, tpc_b
from bench.rounds import Subject, interleaved
from bench.scenarios.create import CONNECTIONS, GROUP, pgbench
from bench.session import POOL_SIZE, Session
from bench.webhooks.sink import make_certificate, receiving

FILL_S = 2.0


def measure(session: Session) -> None:
    """Measure each limit in turns with the others and keep it for the report."""
    with receiving() as http, receiving(certificate=make_certificate(session.work / "sink.pem")) as https:
        subjects = servers(session) | databases(session) | clients(session, http, https)
        for work in subjects.values():
            work(min(1.0, session.protocol.seconds))
        series = interleaved(subjects, session.protocol, session.foreign, session.run.noise)
    for name, values in series.values.items():
        if values:
            limit, _, part = name.partition(" ")
            unit = {"L8": "rows/s", "L9": "ms"}.get(limit, "1/s") + (f" {part}" if part else "")
            session.run.limits.add(limit, "any" if limit in ("L1", "L2", "L7") else session.mode, unit, values)
    probe = session.run.machine.fsync_us
    session.run.limits.add("L10", "any", "µs", [probe["p50"]])


def servers(session: Session) -> dict[str, Subject]:
    connections = CONNECTIONS[session.mode]

    def server(name: str) -> Subject:
        return lambda seconds: session.servers.rate(name, connections=connections, seconds=seconds)

    return {"L1": server("L1"), "L2": server("L2")}


def databases(session: Session) -> dict[str, Subject]:
    if not session.cluster:
        return {
            "L3": lambda seconds: session.raw_sqlite(1, seconds)["rate"],
            "L4": lambda seconds: session.raw_sqlite(GROUP, seconds)["rate"],
            **bulk(session),
        }
    cluster, url = session.cluster, session.cluster.create("opentill_tpc_b")
    return {
        "L5": lambda seconds: session.raw_psycopg(POOL_SIZE, seconds)["rate"],
        "L6": lambda seconds: pgbench(session, seconds),
        "L6 one function": one_function(session),
        "L6 TPC-B": lambda seconds: tpc_b(cluster.programs, url, clients=POOL_SIZE, seconds=seconds),
        **bulk(session),
    }


def one_function(session: Session) -> Subject:
    """The recorded statements as one call."""
    assert session.cluster
    programs, url = session.cluster.programs, session.fresh_database("function")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(function.definition(session.request).encode())
    path = session.work / "function.pgbench"
    path.write_text(function.script(session.request))
    return lambda seconds: requests_per_second(programs, url, path, clients=POOL_SIZE, seconds=seconds)


def bulk(session: Session) -> dict[str, Subject]:
    """L8 and L9 read a copy that a raw loop has filled."""
    output, filled = session.work / "export.csv", session.fresh_database("filled")
    if session.cluster:
        session.raw_psycopg(POOL_SIZE, FILL_S, filled)
    else:
        session.raw_sqlite(GROUP, FILL_S, filled)

    def exported(_: float) -> float:
        if session.cluster:
            return export.postgres_rows_per_second(session.cluster.programs, filled, output)
        return export.sqlite_rows_per_second(Path(filled.removeprefix("sqlite:///")), output)

    works: dict[str, Subject] = {"L9": lambda _: total.milliseconds(filled)}
    if session.cluster or shutil.which("sqlite3"):
        works["L8"] = exported
    return works


def clients(session: Session, http: int, https: int) -> dict[str, Subject]:
    certificate = session.work / "sink.pem"
    plain = ["--url", f"http://127.0.0.1:{http}/"]
    sealed = ["--url", f"https://127.0.0.1:{https}/", "--certificate", certificate]

    def client(*words: object) -> Callable[[float], float]:
        return lambda seconds: session.tool("bench.limits.bare_client", *words, "--seconds", seconds)["rate"]

    return {
        "L7 http": client(*plain),
        "L7 https": client(*sealed),
        "L7 https cold": client(*sealed, "--cold"),
    }
