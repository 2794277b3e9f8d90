"""One run: bars measured mode by mode, written as JSON and markdown, and the exit status they deserve."""

import importlib
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import get_args

import psycopg

from bench import audit, machine, seed, suite
from bench.bar import Bar, Benchmark, MarkedTests, Mode, NotBuilt, SizeName, Tier
from bench.cluster import NoPostgres, NotDurable
from bench.limits import every
from bench.limits.servers import FLAGS
from bench.noise import FOREIGN_CPU_MAX
from bench.product import RATE_LIMIT, ProductFailed
from bench.registry import BARS
from bench.renewal import Unrepeatable
from bench.report import markdown
from bench.results import RESULTS, Found, Run, not_run, write
from bench.rounds import Protocol
from bench.session import Session, open_session

PAYMENTS = 100_000
PAYMENTS_IN_SHORT = 20_000
"""Stored before reads are measured; the tier of every change has no time for more."""
NOTE_MAX = 400
PUBLISHED = Path(__file__).parents[1] / "docs" / "operating" / "benchmarks.md"
WORK = Path("/var/tmp")
"""On a disk: the usual folder for short-lived files is memory on many machines."""


@dataclass(frozen=True)
class Order:
    """What to measure, and how."""

    bars: Sequence[tuple[Bar, SizeName]]
    modes: Sequence[Mode]
    tier: Tier
    protocol: Protocol
    payments: int
    data_set: int = seed.PAYMENTS


def measure(order: Order) -> int:
    """Measure every bar of *order*, write and print the result; return the exit status.

    A run that is ended early, by Ctrl-C or SIGTERM, tells what it has found until then, and fails.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="opentill-bench-", dir=WORK) as folder:
        run = Run(order.tier, machine.describe(Path(folder)), machine.software())
        try:
            for found in everything(order, run, Path(folder)):
                run.found.append(found)
                print(in_short(found), flush=True)
        except KeyboardInterrupt:
            run.found += left_out(order, run.found)
            finish(run, publishes=False)
            return 1
    return finish(run)


def left_out(order: Order, found: Sequence[Found]) -> Iterable[Found]:
    """Yield what a run that was ended early did not come to."""
    told = {(each.bar.id, each.mode, each.part.name) for each in found}
    for bar, _ in order.bars:
        for mode in suite.modes_of(bar, order.modes):
            for part in bar.parts_in(mode):
                if (bar.id, mode, part.name) not in told:
                    yield not_run(bar, part, mode, "the run was ended early")


def in_short(found: Found) -> str:
    """Return one line of a run's progress."""
    value = f" {found.value:.3g}" if isinstance(found.value, float) else ""
    return f"{found.bar.id} {found.mode} {found.part.name}:{value} {found.verdict} {found.note}"


def measure_limits(order: Order) -> int:
    """Measure only the limits."""
    with tempfile.TemporaryDirectory(prefix="opentill-bench-", dir=WORK) as folder:
        run = Run(order.tier, machine.describe(Path(folder)), machine.software())
        for mode in order.modes:
            with open_session(mode, Path(folder) / mode, order.protocol, run) as session:
                every.measure(session)
                note_settings(session)
    return finish(run)


def everything(order: Order, run: Run, work: Path) -> Iterable[Found]:
    """Yield what is found: tests first, then benchmarks mode by mode, which share a session each."""
    for bar, _ in order.bars:
        if isinstance(bar.runner, NotBuilt):
            for mode in suite.modes_of(bar, order.modes):
                yield from (not_run(bar, part, mode, bar.runner.reason) for part in bar.parts_in(mode))
        elif not suite.modes_of(bar, order.modes):
            (mode,) = bar.modes
            yield from (not_run(bar, part, mode, f"this is a bar of {mode} only") for part in bar.parts_in(mode))
    for size in get_args(SizeName):
        tested = [bar for bar, wanted in order.bars if wanted == size and isinstance(bar.runner, MarkedTests)]
        if tested:
            yield from suite.measure(tested, order.modes, size)
    for mode in order.modes:
        benchmarks = [bar for bar, _ in order.bars if isinstance(bar.runner, Benchmark) and mode in bar.modes]
        if benchmarks:
            yield from benchmarked(benchmarks, mode, order, run, work / mode)


def benchmarked(bars: Sequence[Bar], mode: Mode, order: Order, run: Run, work: Path) -> Iterable[Found]:
    try:
        with open_session(mode, work, order.protocol, run) as session:
            session.payments, session.data_set = order.payments, order.data_set
            assert session.merchants  # the first command makes the database that is looked at
            note_settings(session)
            for module, group in groupby(bars, key=module_of):
                yield from looked_at(module, list(group), session)
    except (NoPostgres, NotDurable) as missing:
        for bar in bars:
            for part in bar.parts_in(mode):
                yield not_run(bar, part, mode, str(missing))


def module_of(bar: Bar) -> str:
    assert isinstance(bar.runner, Benchmark)
    return bar.runner.module


def looked_at(module: str, bars: Sequence[Bar], session: Session) -> Iterable[Found]:
    """Measure and audit the bars of one module; what breaks fails them and leaves the others alone."""
    work: Callable[[Sequence[Bar], Session], Sequence[Found]] = importlib.import_module(module).measure
    try:
        yield from session.audited(work(bars, session))
    except (ProductFailed, Unrepeatable, RuntimeError, subprocess.CalledProcessError) as failure:
        for bar in bars:
            for part in bar.parts_in(session.mode):
                yield Found(bar, part, session.mode, "fail", 0.0, note=in_one_line(str(failure)))


def in_one_line(text: str) -> str:
    """Return the end of an error's text, fit for a table."""
    return " ".join(text.split())[-NOTE_MAX:]


def note_settings(session: Session) -> None:
    """Write down what the run was set to; raises NotDurable where it may lose what it acknowledged."""
    run, install = session.run, session.install
    run.settings["server"] = dict(FLAGS)
    run.settings["opentill"] = {"rate_limit": RATE_LIMIT}
    if session.protocol.foreign_cpu_max != FOREIGN_CPU_MAX:
        run.settings["opentill"]["bench.foreign_cpu_max"] = session.protocol.foreign_cpu_max
    if session.cluster:
        run.settings["postgres"] = {**session.cluster.settings(), **audit.settings(install)}
        with closing(psycopg.connect(session.cluster.url)) as server:
            run.software["postgresql"] = server.info.parameter_status("server_version") or "?"
    else:
        run.settings["sqlite"] = audit.settings(install)


def finish(run: Run, *, publishes: bool = True) -> int:
    """Write both files, print the table, return 1 below a gate. A release's table is published if it is whole."""
    places = list(BARS)
    run.found.sort(key=lambda found: places.index(found.bar.id))
    result = run.as_json()
    path = write(result, RESULTS)
    text = markdown(result)
    path.with_suffix(".md").write_text(text)
    if run.tier == "release" and publishes:
        PUBLISHED.write_text(f"# Benchmarks\n\n{text}")
    print(f"\n{text}\n{path}")
    bad = {"fail", "unstable", "not_run"} if run.tier == "release" else {"fail"}
    return 1 if any(found.verdict in bad for found in run.found) else 0
