"""Results are judged, checked against their schema, written, compared."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bench import drift
from bench.machine import Machine
from bench.registry import BARS
from bench.report import markdown
from bench.results import Run, judged, not_run, write
from bench.rounds import Ratio

MACHINE = Machine("a CPU", 2, 8000, "nvme", "ext4", True, "6.1.0", {"p50": 1000.0, "p99": 2000.0})


def a_run(value: float) -> dict[str, Any]:
    run = Run("bar", MACHINE, {"python": "3.11.0", "sqlite": "3.40.1"})
    run.limits.add("L2", "any", "1/s", [8000, 8100, 8050])
    bar = BARS["P1"]
    ratio = Ratio(value, [value, value * 1.1], 8000 * value, 8050)
    run.found.append(judged(bar, bar.parts[0], "sqlite", ratio, measured=(ratio.over, "1/s"), connections=64))
    run.found.append(not_run(BARS["P2"], BARS["P2"].parts[0], "postgres", "no PostgreSQL programs found"))
    return run.as_json()


@pytest.mark.parametrize(("value", "verdict"), [(0.31, "target"), (0.2, "gate"), (0.1, "fail")])
def test_a_ratio_is_compared_with_gate_and_target(value: float, verdict: str) -> None:
    assert a_run(value)["bars"][0]["verdict"] == verdict


def test_a_wide_spread_is_unstable_whatever_its_median() -> None:
    bar = BARS["P1"]
    found = judged(bar, bar.parts[0], "sqlite", Ratio(0.4, [0.3, 0.4, 0.5], 1, 1), measured=(1, "1/s"))
    assert found.verdict == "unstable"


def test_a_result_is_written_once_it_fits_its_schema(tmp_path: Path) -> None:
    path = write(a_run(0.31), tmp_path)
    assert json.loads(path.read_text())["totals"] == {"target": 1, "gate": 0, "fail": 0, "unstable": 0, "not_run": 1}
    broken = a_run(0.31)
    del broken["machine"]["fsync_us"]
    with pytest.raises(jsonschema.ValidationError):
        write(broken, tmp_path)


def test_the_table_says_what_was_measured_and_what_was_not() -> None:
    text = markdown(a_run(0.31))
    assert text.startswith("a CPU, 2 cores, 7.8 GiB, nvme ext4 (virtual)")
    assert (
        "| P1 | sqlite | creation / L2 | 2,480/s | L2 8,050/s | 0.31 (0.31–0.34) | ≥ 0.15 | ≥ 0.30 | target |" in text
    )
    assert "not run: no PostgreSQL programs found |" in text


def test_drift_names_what_became_worse() -> None:
    (slower,) = drift.compared(a_run(0.31), a_run(0.25))
    assert slower.word == "FAIL"
    (little,) = drift.compared(a_run(0.31), a_run(0.275))
    assert little.word == "warning"
    (better,) = drift.compared(a_run(0.31), a_run(0.4))
    assert better.word == "ok"
