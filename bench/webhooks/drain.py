"""P33: how fast 100,000 due deliveries go out, beside a bare client that sends the same without a database (L7)."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench.bar import Bar
from bench.results import Found
from bench.session import Session
from bench.webhooks.rig import Rig
from bench.webhooks.sink import make_certificate, receiving

COUNT = "OPENTILL_BENCH_WEBHOOK_COUNT"
WHOLE, SHORT = 100_000, 5_000
MERCHANTS = 4


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Drain a full queue and run the bare client in turns, over http, https, and https with new connections."""
    rows: list[Found] = []
    for bar in wanted:
        for part in bar.parts_in(session.mode):
            way = part.name.partition(" / ")[0]
            series = session.settle({f"L7 {way}": bare(session, way), way: drained(session, way)}, [(way, f"L7 {way}")])
            pair = (way, f"L7 {way}")
            rows.append(session.judge(bar, part, series, pair, unit="1/s", deliveries=count_of(session)))
    return rows


def count_of(session: Session) -> int:
    return int(os.environ.get(COUNT) or (SHORT if session.run.tier == "change" else WHOLE))


def drained(session: Session, way: str) -> Callable[[float], float]:
    """Return how to drain a fresh queue; every delivery must arrive, and once."""
    rounds = iter(range(10_000))

    def work(_seconds: float) -> float:
        name = f"drain_{way.split()[0]}_{way.count('cold')}_{next(rounds)}"
        with ExitStack() as stack:
            rig = Rig(session, name, stack, merchants=MERCHANTS)
            address = rig.receiver(https=way.startswith("https"))
            urls = [f"{address}/{n}{'/cold' if 'cold' in way else ''}" for n in range(MERCHANTS)]
            rig.engine("fill", count=count_of(session), merchants=MERCHANTS, urls=urls, of_each=1)
            found = rig.engine("drain")
            arrived = sum(1 for file in rig.work.glob("received-*.txt") for _ in file.open())
            if found["left"] or arrived < count_of(session):
                raise RuntimeError(f"{found['left']} deliveries were left, {arrived} arrived")
        return float(found["rate"])

    return work


def bare(session: Session, way: str) -> Callable[[float], float]:
    def work(seconds: float) -> float:
        https = way.startswith("https")
        certificate = make_certificate(session.work / "bare.pem") if https else None
        with receiving(certificate=certificate) as port:
            words: list[object] = ["--url", f"{'https' if https else 'http'}://127.0.0.1:{port}/", "--seconds", seconds]
            words += ["--certificate", certificate] if certificate else []
            words += ["--cold"] if "cold" in way else []
            return float(session.tool("bench.limits.bare_client", *words)["rate"])

    return work
