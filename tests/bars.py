"""The `bar` marker: tests that prove a bar of the specification say what they found, and at which size.

    @pytest.mark.bar("C5", gate=20, target=200, quick=2)
    def test_refunds_never_exceed_the_payment(database, bar_size, bar_seed): ...

`bar_size` is the size of the run: the marker's value for what OPENTILL_BAR_SIZE says, `gate` or `target`. Where it
says nothing, as in the ordinary suite, it is the *quick* value, or the gate's where there is none. `bar_seed` starts
every chance, and is OPENTILL_BAR_SEED where that is set. A bar of several parts names one with `part="…"`.
`bar_value` records a number where the bar is one, `bar_parts` one for each part a test proves, `bar_note` a sentence
that belongs beside the verdict. `quick=None` keeps a test that takes minutes out of the ordinary suite.

`python -m bench` runs the tests of a bar with `--bar C5`, chooses a database by OPENTILL_BAR_DB (`sqlite`,
`postgres` or `both`) and reads the verdicts, one JSON object a line, from the file OPENTILL_BAR_RESULTS names.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RESULTS = "OPENTILL_BAR_RESULTS"
SIZE = "OPENTILL_BAR_SIZE"
DATABASE = "OPENTILL_BAR_DB"
SEED = "OPENTILL_BAR_SEED"
MODES = ("sqlite", "postgres")
FOUND = pytest.StashKey[dict[str, Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bar", action="append", default=[], metavar="ID", help="run the tests of this bar only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the wanted bars, and those of the wanted database."""
    bars = set(config.getoption("--bar"))
    mode = os.environ.get(DATABASE, "both")
    kept, left = [], []
    for item in items:
        unwanted = (bars and not bars & set(bars_of(item))) or (mode in MODES and mode_of(item) not in ("any", mode))
        unwanted = unwanted or (size_name() == "quick" and is_long(item))
        (left if unwanted else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.fixture
def bar_size(request: pytest.FixtureRequest) -> Any:
    """The size of this run, from the test's own marker."""
    marker = request.node.get_closest_marker("bar")
    name = size_name()
    size = marker.kwargs[name] if name in marker.kwargs else marker.kwargs["gate"]
    found(request.node)["size"] = dict(size) if isinstance(size, dict) else {"n": size}
    found(request.node)["size_name"] = name
    return size


@pytest.fixture
def bar_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run: the same in every run of this test, unless one is named."""
    seed = int(os.environ.get(SEED) or zlib.crc32(request.node.name.encode()))
    found(request.node)["seed"] = seed
    return seed


@pytest.fixture
def bar_value(request: pytest.FixtureRequest) -> Callable[[float], None]:
    """Records the measured number of a bar that has one."""

    def record(value: float) -> None:
        found(request.node)["value"] = value

    return record


@pytest.fixture
def bar_parts(request: pytest.FixtureRequest) -> Callable[[dict[str, float]], None]:
    """Records the measured number of each part of a bar."""

    def record(values: dict[str, float]) -> None:
        found(request.node)["values"] = values

    return record


@pytest.fixture
def bar_note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Records what a reader of the verdict must know: what was left out, what was counted."""

    def record(note: str) -> None:
        found(request.node)["note"] = note

    return record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Print how to repeat a failure, and write down what the test found."""
    report: pytest.TestReport = yield
    if bars_of(item) and (report.when == "call" or report.outcome != "passed"):
        if report.failed:
            report.sections.append(("to repeat", repeating(item)))
        write(item, report)
    return report


def write(item: pytest.Item, report: pytest.TestReport) -> None:
    path = os.environ.get(RESULTS)
    if not path:
        return
    told = dict(found(item))
    values = told.pop("values", {})
    for marker in item.iter_markers("bar"):
        part = marker.kwargs.get("part", "")
        line = {
            "id": marker.args[0],
            "part": part,
            "mode": mode_of(item),
            "outcome": report.outcome,
            "test": item.nodeid,
            "reason": reason(report),
            **told,
            **({"value": values[part]} if part in values else {}),
        }
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")


def reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped or failed, in one line."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr).strip().splitlines()[-1] if report.longrepr else ""


def repeating(item: pytest.Item) -> str:
    """Return the one command that runs *item* again as it was."""
    words = [f"{SIZE}={size_name()}"] if size_name() != "quick" else []
    if "seed" in found(item):
        words.append(f"{SEED}={found(item)['seed']}")
    return " ".join([*words, "python -m pytest", f"'{item.nodeid}'"])


def bars_of(item: pytest.Item) -> list[str]:
    return [marker.args[0] for marker in item.iter_markers("bar")]


def is_long(item: pytest.Item) -> bool:
    """Tell whether a test runs for its bar only."""
    return any("quick" in marker.kwargs and marker.kwargs["quick"] is None for marker in item.iter_markers("bar"))


def mode_of(item: pytest.Item) -> str:
    """Return the database of a test that runs on one or on each of them, else `any`."""
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec else ()
    return next((value for value in values if isinstance(value, str) and value in MODES), "any")


def size_name() -> str:
    """Return `gate` or `target` where one is asked for, `quick` in the ordinary suite."""
    asked = os.environ.get(SIZE, "")
    return asked if asked in ("gate", "target") else "quick"


def found(item: pytest.Item) -> dict[str, Any]:
    return item.stash.setdefault(FOUND, {})
