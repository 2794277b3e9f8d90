"""The command line of the benchmark suite (bars.md §1.2).

    python -m bench bar P1 C3 --db sqlite     measure bars and write bench/results/<run id>.json and .md
    python -m bench bars --tier change        every bar of a tier
    python -m bench limits                    only the limits
    python -m bench compare A.json B.json     ratios of B against those of A
    python -m bench report FILE.json          a result file as markdown

Exits 1 when a bar is below its gate, and in tier release also when one is unstable or was not run.
"""

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from bench import drift, registry, runs, seed
from bench.bar import Mode
from bench.registry import UnknownBar
from bench.report import markdown
from bench.rounds import CHANGE, Protocol

MODES: dict[str, tuple[Mode, ...]] = {
    "sqlite": ("sqlite",),
    "postgres": ("postgres",),
    "both": ("sqlite", "postgres"),
}


def main(words: list[str] | None = None) -> int:
    chosen = parser().parse_args(words)
    # Ended by a signal, it still stops what it started and removes what it made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        status: int = chosen.run(chosen)
    except UnknownBar as unknown:
        print(unknown, file=sys.stderr)
        return 2
    return status


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m bench", description="Measure the bars of the specification.")
    commands = whole.add_subparsers(required=True)

    bar = commands.add_parser("bar", help="measure one or several bars")
    bar.add_argument("ids", nargs="+", metavar="ID")
    bar.add_argument("--size", choices=["gate", "target"], default="gate", help="size of correctness runs")
    bar.set_defaults(run=run_bar)

    bars = commands.add_parser("bars", help="measure every bar of a tier")
    bars.add_argument("--tier", choices=["change", "nightly", "release"], default="change")
    bars.set_defaults(run=run_tier)

    limits = commands.add_parser("limits", help="measure only the limits")
    limits.set_defaults(run=run_limits)
    for command in (bar, bars, limits):
        add_measuring_options(command)

    compare = commands.add_parser("compare", help="compare the ratios of two result files")
    compare.add_argument("base", type=Path)
    compare.add_argument("changed", type=Path)
    compare.set_defaults(run=run_compare)

    report = commands.add_parser("report", help="show a result file as markdown")
    report.add_argument("file", type=Path)
    report.set_defaults(run=run_report)
    return whole


def add_measuring_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--db", choices=sorted(MODES), default="both")
    command.add_argument("--rounds", type=at_least_one, help="rounds of each measurement, for a quick look")
    command.add_argument("--seconds", type=float, help="seconds of each round, for a quick look")
    command.add_argument("--warmup", type=float, help="seconds before the first round, for a quick look")
    command.add_argument("--repetitions", type=at_least_one, help="how often a measurement is made until it is stable")
    command.add_argument("--foreign-cpu-max", type=float, help="share of the machine others may use in a round")
    command.add_argument("--payments", type=int, help="payments stored before reads")
    command.add_argument("--data-set", type=int, default=seed.PAYMENTS, help="payments of the data set of bars.md §4.2")


def at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def protocol(chosen: argparse.Namespace, standard: Protocol) -> Protocol:
    given = {
        "rounds": chosen.rounds,
        "seconds": chosen.seconds,
        "warmup_s": chosen.warmup,
        "repetitions_max": chosen.repetitions,
        "foreign_cpu_max": chosen.foreign_cpu_max,
    }
    return replace(standard, **{name: value for name, value in given.items() if value is not None})


def payments(chosen: argparse.Namespace, tier: str = "bar") -> int:
    return chosen.payments or (runs.PAYMENTS_IN_SHORT if tier == "change" else runs.PAYMENTS)


def run_bar(chosen: argparse.Namespace) -> int:
    order = runs.Order(
        [(bar, chosen.size) for bar in registry.find(chosen.ids)],
        MODES[chosen.db], "bar", protocol(chosen, Protocol()), payments(chosen), chosen.data_set,
    )  # fmt: skip
    return runs.measure(order)


def run_tier(chosen: argparse.Namespace) -> int:
    standard = CHANGE if chosen.tier == "change" else Protocol()
    bars = [(bar, registry.size_in(chosen.tier, bar)) for bar in registry.in_tier(chosen.tier)]
    return runs.measure(
        runs.Order(bars, MODES[chosen.db], chosen.tier, protocol(chosen, standard), payments(chosen, chosen.tier))
    )


def run_limits(chosen: argparse.Namespace) -> int:
    return runs.measure_limits(runs.Order([], MODES[chosen.db], "bar", protocol(chosen, Protocol()), payments(chosen)))


def run_compare(chosen: argparse.Namespace) -> int:
    base, changed = (json.loads(path.read_text()) for path in (chosen.base, chosen.changed))
    found = drift.compared(base, changed)
    print(drift.table(found))
    return 1 if any(row.too_slow for row in found) else 0


def run_report(chosen: argparse.Namespace) -> int:
    print(markdown(json.loads(chosen.file.read_text())), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
