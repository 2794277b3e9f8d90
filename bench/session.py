"""One mode's measuring session: an install with a hundred merchants, recorded statements, the limits beside.

Everything is made when it is first needed and shared by the bars of a run, so that a run of several bars starts
the product and records its statements once.
"""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import audit, seed, statements
from bench.bar import Bar, Mode, Part
from bench.cluster import Cluster
from bench.limits.servers import LimitServers
from bench.load import Load, Plan, run
from bench.noise import ForeignCpu
from bench.product import Install, Merchant, ProductFailed, Server, serving
from bench.record import record
from bench.results import Found, Run, judged
from bench.rounds import Protocol, Series, Subject, settled
from bench.scenarios.requests import Creation
from bench.statements import Request

LIMIT = re.compile(r"L\d+")
MERCHANTS = 100
POOL_SIZE = 8


@dataclass
class Session:
    """What the bars of one mode share."""

    mode: Mode
    work: Path
    protocol: Protocol
    run: Run
    stack: ExitStack
    cluster: Cluster | None = None
    payments: int = 100_000
    data_set: int = seed.PAYMENTS
    acknowledged: int = 0
    lost: int = 0
    cpu_us: float = 0.0  # processor time of the product for each request of the latest load
    not_accepted: int = 0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def foreign(self) -> ForeignCpu:
        return ForeignCpu(self.cluster.pids if self.cluster else tuple)

    @cached_property
    def servers(self) -> LimitServers:
        """L1 and L2, running."""
        return self.stack.enter_context(LimitServers(self.work))

    @cached_property
    def install(self) -> Install:
        url = self.cluster.create("opentill") if self.cluster else ""
        return Install(self.work / "data", url)

    @cached_property
    def merchants(self) -> Sequence[Merchant]:
        return self.install.add_merchants(MERCHANTS)

    @cached_property
    def creation(self) -> Creation:
        return Creation()

    @cached_property
    def request(self) -> Request:
        """The statements of one creation, recorded before the product is measured."""

        def send(server: Server, merchant: Merchant) -> None:
            self.creation.send(server, merchant)
            self.acknowledged += 1

        recorded = record(self.install, self.merchants, send)
        statements.save(recorded, self.statements_path)
        return recorded

    @property
    def statements_path(self) -> Path:
        return self.work / "statements.json"

    @cached_property
    def server(self) -> Server:
        """The product with its workers, running until the session ends."""
        assert self.pristine  # copied while nobody writes
        return self.stack.enter_context(serving(self.install))

    @cached_property
    def pristine(self) -> str:
        """The database as it was after recording: a file, or the name of a template."""
        assert self.request
        if self.cluster:
            self.cluster.create("opentill_pristine", template="opentill")
            return "opentill_pristine"
        path = self.work / "pristine.db"
        original = self.install.data / "opentill.db"
        with closing(sqlite3.connect(original)) as ours, closing(sqlite3.connect(path)) as copy:
            ours.backup(copy)
        return str(path)

    def fresh_database(self, name: str = "raw") -> str:
        """Return the address of a fresh copy, in place of the last of this name: no round works on another's rows."""
        if self.cluster:
            self.cluster.drop(f"opentill_{name}")
            return self.cluster.create(f"opentill_{name}", template=self.pristine)
        path = self.work / f"{name}.db"
        for leftover in self.work.glob(f"{name}.db*"):
            leftover.unlink()
        return f"sqlite:///{shutil.copyfile(self.pristine, path)}"

    def load(self, templates: Sequence[str], *, connections: int, seconds: float, **more: object) -> Load:
        """Send requests to the product."""
        plan = Plan("127.0.0.1", self.server.port, connections, seconds, 0.5, templates, **more)  # type: ignore[arg-type]
        before = self.server.cpu_seconds()
        load = run(plan)
        self.cpu_us = 1e6 * (self.server.cpu_seconds() - before) / max(1, sum(load.statuses.values()))
        return load

    def create(self, seconds: float, *, connections: int, merchants: int = MERCHANTS) -> Load:
        """Create payments through the API and count what was acknowledged."""
        templates = [self.creation.template(merchant) for merchant in self.merchants[:merchants]]
        load = self.load(templates, connections=connections, seconds=seconds)
        self.acknowledged += load.accepted
        self.lost += load.lost + load.unanswered
        self.not_accepted += sum(load.statuses.values()) - load.accepted
        return load

    def raw_sqlite(self, group: int, seconds: float, database: str = "") -> dict[str, float]:
        """L3 with a group of one, else L4; on a fresh database if none is named."""
        path = (database or self.fresh_database()).removeprefix("sqlite:///")
        words = ["--database", path, "--statements", self.statements_path, "--seconds", seconds, "--group", group]
        return self.tool("bench.limits.raw_sqlite", *words)

    def raw_psycopg(self, connections: int, seconds: float, database: str = "") -> dict[str, float]:
        """L5 with *connections* slots; on a fresh database if none is named."""
        words = ["--database", database or self.fresh_database(), "--statements", self.statements_path]
        words += ["--seconds", seconds, "--connections", connections]
        return self.tool("bench.limits.raw_psycopg", *words)

    def tool(self, module: str, *words: object) -> dict[str, float]:
        """Run one of the limits in a process of its own and return what it printed."""
        command = [sys.executable, "-m", module, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProductFailed(f"{module} failed: {done.stderr[-2000:]}")
        found: dict[str, float] = json.loads(done.stdout)
        return found

    def settle(self, subjects: Mapping[str, Subject], pairs: Sequence[tuple[str, str]]) -> Series:
        """Measure the subjects in turns (bench/rounds.py), keeping the limits among them for the report."""
        series = settled(subjects, pairs, self.protocol, self.foreign, self.run.noise)
        for name, values in series.values.items():
            if values and LIMIT.match(name):
                unit = "ms" if name.endswith("ms") else "1/s"
                mode: Mode = "any" if name in ("L1", "L2") else self.mode
                self.run.limits.add(name.split()[0], mode, unit, values)
        return series

    def judge(self, bar: Bar, part: Part, series: Series, pair: tuple[str, str], *, unit: str, **size: Any) -> Found:
        """Return the row of one ratio; one that could not be measured in peace is unstable."""
        found = series.settled.get(pair)
        if found is None:
            note = f"too few rounds had less than {self.protocol.foreign_cpu_max:.0%} foreign CPU"
            return Found(bar, part, self.mode, "unstable", 0.0, size=size, note=note)
        return judged(bar, part, self.mode, found, measured=(found.over, unit), **size)

    def audited(self, found: Sequence[Found]) -> Sequence[Found]:
        """Turn every result into a failure unless the books hold and all that was acknowledged is stored."""
        return audit.audited(self, found)


@contextmanager
def open_session(mode: Mode, work: Path, protocol: Protocol, run: Run) -> Iterator[Session]:
    """Open a session in the folder *work*. Raises NoPostgres or NotDurable."""
    with ExitStack() as stack:
        work.mkdir(parents=True)
        cluster = stack.enter_context(Cluster(work)) if mode == "postgres" else None
        yield Session(mode, work, protocol, run, stack, cluster)
