"""One install for one measurement of the delivery engine, with receivers beside it and every id reconciled."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.audit import query
from bench.product import Install, Merchant, ProductFailed, stop
from bench.session import Session
from bench.webhooks.sink import make_certificate, receiving

SECONDS = "OPENTILL_BENCH_WEBHOOK_SECONDS"
WHOLE_S = 600.0  # what bars.md asks for
MINUTE_S = 60.0  # where it names a rate and no time
SHORT_S = 15.0  # in the tier of every change


@dataclass(frozen=True)
class Reconciled:
    """What became of every recorded event: delays in ms by id, and what is wrong."""

    delays: Mapping[str, float]
    missing: int
    strange: int
    duplicates: int

    @property
    def fault(self) -> str:
        if self.missing or self.strange:
            return f"{self.missing} recorded events never arrived, {self.strange} arrived that nobody recorded"
        return ""


class Rig:
    """An install of its own, so that no measurement works on another's rows."""

    def __init__(self, session: Session, name: str, stack: ExitStack, *, merchants: int = 1) -> None:
        url = session.cluster.create(f"opentill_{name}") if session.cluster else ""
        self.session = session
        self.stack = stack
        self.install = Install(session.work / name, url)
        self.merchants: Sequence[Merchant] = self.install.add_merchants(merchants)
        self.work = session.work / name
        self.traced = ""  # a file that gets every statement
        self._receivers = 0

    def receiver(self, *, https: bool = False) -> str:
        """Start a receiver that keeps what it gets; return its address."""
        self._receivers += 1
        record = self.work / f"received-{self._receivers}.txt"
        certificate = make_certificate(self.session.work / "sink.pem") if https else None
        port = self.stack.enter_context(receiving(record=record, certificate=certificate))
        return f"{'https' if https else 'http'}://127.0.0.1:{port}"

    def engine(self, do: str, **options: Any) -> dict[str, Any]:
        """Do something with the engine in a process of its own; return what it printed."""
        command = self._command(do, options)
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProductFailed(f"the engine failed to {do}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    @contextmanager
    def worker(self) -> Any:
        """On PostgreSQL run the product's worker process; on SQLite the process of the feeder has the loops."""
        if self.install.embedded:
            yield
            return
        words = [str(Path(sys.executable).with_name("opentill")), "worker", "--data", str(self.install.data)]
        log = (self.work / "worker.log").open("ab")
        process = subprocess.Popen(words, env=self._environment(OPENTILL_DEV="true"), stdout=log, stderr=log)
        try:
            time.sleep(2.0)
            yield
        finally:
            stop([process])

    def feed(self, *, rate: float, seconds: float, merchants: int = 1, **more: Any) -> dict[str, Any]:
        """Record events in an open loop while they are delivered."""
        with self.worker():
            return self.engine(
                "feed",
                rate=rate,
                seconds=seconds,
                merchants=merchants,
                written=self.work / "recorded.txt",
                no_workers=not self.install.embedded,
                **more,
            )

    def reconcile(self) -> Reconciled:
        """Match every recorded event with every arrival."""
        recorded = dict(_pairs(self.work / "recorded.txt"))
        first: dict[str, int] = {}
        arrivals = 0
        for file in sorted(self.work.glob("received-*.txt")):
            for event_id, at in _pairs(file):
                arrivals += 1
                first[event_id] = min(at, first.get(event_id, at))
        delays = {event_id: (first[event_id] - at) / 1000 for event_id, at in recorded.items() if event_id in first}
        return Reconciled(
            delays=delays,
            missing=len(recorded) - len(delays),
            strange=len(first.keys() - recorded.keys()),
            duplicates=arrivals - len(first),
        )

    def count(self, sql: str) -> int:
        return int(query(self.install, sql)[0][0])

    def _command(self, do: str, options: Mapping[str, Any]) -> list[str]:
        words = [sys.executable, "-m", "bench.webhooks.engine", "--do", do]
        words += ["--data", str(self.install.data), "--merchant", self.merchants[0].merchant_id]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif isinstance(value, list | tuple):
                words += [flag, *map(str, value)]
            elif value not in (None, False, ""):
                words += [flag, str(value)]
        return words

    def _environment(self, **more: str) -> dict[str, str]:
        certificate = self.session.work / "sink.pem"
        trusted = {"SSL_CERT_FILE": str(certificate)} if certificate.exists() else {}
        log = {"OPENTILL_LOG_FILE": str(self.install.data / "opentill.log")}
        trace = {"OPENTILL_TRACE_SQL": self.traced} if self.traced else {}
        return self.install.environment(**trusted, **log, **trace, **more)


def seconds_of(session: Session, whole_s: float = WHOLE_S) -> float:
    """Return how long a load is kept up: *whole_s*, less in the tier of every change or where one says so."""
    chosen = os.environ.get(SECONDS)
    if chosen:
        return float(chosen)
    return SHORT_S if session.run.tier == "change" else whole_s


def _pairs(file: Path) -> list[tuple[str, int]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [(event_id, int(at)) for event_id, _, at in (line.partition(" ") for line in lines)]
