"""Tests marked with a bar say what they found, at which size, on which database."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.registry import BARS
from bench.suite import judged, of_part

ROOT = Path(__file__).parents[3]
TESTS = """
import pytest

@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    return request.param

@pytest.mark.bar("C5", gate=20, target=200)
def test_sized(database, bar_size, bar_seed):
    assert bar_size in (20, 200)

@pytest.mark.bar("C2")
def test_rule(database):
    assert database == "sqlite"

@pytest.mark.bar("C3")
def test_elsewhere():
    pytest.skip("not here")

def test_of_no_bar():
    pass
"""


def results(folder: Path, *bars: str, **environment: str) -> list[dict[str, Any]]:
    """Run the tests above in a pytest of their own; return what they wrote down."""
    (folder / "test_some.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = bar(id)\n")
    path = folder / "results.jsonl"
    words = [word for bar in bars for word in ("--bar", bar)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENTILL_BAR")}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.bars", "-c", folder / "pytest.ini", *words, folder],
        env={**kept, "PYTHONPATH": str(ROOT), "OPENTILL_BAR_RESULTS": str(path), **environment},
        capture_output=True, check=False,
    )  # fmt: skip
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_size_seed_and_database_are_written_down(tmp_path: Path) -> None:
    found = results(tmp_path, "C5")
    assert [line["mode"] for line in found] == ["sqlite", "postgres"]
    assert {line["id"] for line in found} == {"C5"}
    assert all(line["outcome"] == "passed" and line["size"] == {"n": 20} and line["seed"] for line in found)


def test_the_target_size_and_one_database_are_chosen_by_the_environment(tmp_path: Path) -> None:
    found = results(tmp_path, "C5", OPENTILL_BAR_SIZE="target", OPENTILL_BAR_DB="postgres", OPENTILL_BAR_SEED="7")
    assert [(line["mode"], line["size"], line["seed"]) for line in found] == [("postgres", {"n": 200}, 7)]


def test_failures_and_skips_are_written_down_with_their_reason(tmp_path: Path) -> None:
    found = results(tmp_path)
    assert {(line["id"], line["mode"], line["outcome"]) for line in found if line["id"] != "C5"} == {
        ("C2", "sqlite", "passed"),
        ("C2", "postgres", "failed"),
        ("C3", "any", "skipped"),
    }
    assert next(line["reason"] for line in found if line["id"] == "C3") == "not here"


@pytest.mark.parametrize(
    ("outcomes", "size", "verdict"),
    [
        (["passed", "passed"], None, "target"),
        (["passed", "passed"], "gate", "gate"),
        (["passed", "failed"], "gate", "fail"),
        (["passed", "skipped"], "target", "target"),
        (["skipped"], None, "not_run"),
    ],
)
def test_a_bar_is_what_its_tests_say(outcomes: list[str], size: str | None, verdict: str) -> None:
    bar = BARS["C5"]
    lines = [
        {"id": "C5", "part": "", "mode": "sqlite", "outcome": outcome, "test": "t", "reason": "why"}
        | ({"size_name": size, "size": {"n": 1}} if size else {})
        for outcome in outcomes
    ]
    found = judged(bar, bar.parts[0], "sqlite", "gate", of_part(lines, bar.parts[0], bar))
    assert found.verdict == verdict
