"""The registry of the benchmark suite and the document of the bars name the same bars."""

import importlib
import json
import re
from pathlib import Path

import jsonschema
import pytest
from bench.bar import Benchmark
from bench.registry import BARS, UnknownBar, find, in_tier, size_in
from bench.report import markdown

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT.parent / "shared" / "spec" / "bars.md"
ROW = re.compile(r"^\| ([CPRSU]\d+)\b", re.M)

# The ids of the document, kept here so that this test says something where the document is not at hand.
KEPT = [
    f"{chapter}{number}"
    for chapter, count in {"C": 20, "P": 41, "R": 19, "S": 20, "U": 18}.items()
    for number in range(1, count + 1)
]


@pytest.fixture(scope="module")
def document() -> str:
    if not DOCUMENT.exists():
        pytest.skip("the specification is not beside this repository")
    return DOCUMENT.read_text()


def test_the_registry_has_every_bar_once_and_no_other() -> None:
    assert list(BARS) == KEPT


def test_the_document_has_the_same_bars(document: str) -> None:
    before_the_appendices = document.partition("## Appendix A")[0]
    assert set(ROW.findall(before_the_appendices)) == set(BARS)


def test_the_schema_of_results_is_the_document_s(document: str) -> None:
    kept = json.loads((ROOT / "bench" / "result.schema.json").read_text())
    assert kept == json.loads(first_block(document, "Schema (`bench/result.schema.json`):", "json"))


def test_the_document_s_example_is_valid_and_renders_as_the_document_shows_it(document: str) -> None:
    example = json.loads(first_block(document, "\nExample:\n", "json"))
    jsonschema.validate(example, json.loads((ROOT / "bench" / "result.schema.json").read_text()))
    assert markdown(example).strip() == first_block(document, "The markdown made from it:", "").strip()


def first_block(document: str, heading: str, language: str) -> str:
    after = document.partition(heading)[2]
    return after.partition(f"```{language}\n")[2].partition("```")[0]


def test_every_number_has_a_target_at_least_as_strict_as_its_gate() -> None:
    for bar in BARS.values():
        for part in bar.parts:
            assert part.gate.op == part.target.op, bar.id
            assert part.gate.met(part.target.value), bar.id


def test_every_benchmark_can_be_called() -> None:
    for bar in BARS.values():
        if isinstance(bar.runner, Benchmark):
            assert callable(importlib.import_module(bar.runner.module).measure), bar.id


def test_a_tier_contains_what_the_shorter_ones_contain() -> None:
    change, nightly, release = ({bar.id for bar in in_tier(tier)} for tier in ("change", "nightly", "release"))
    assert change < nightly <= release == set(BARS)


def test_the_nightly_tier_runs_a_few_bars_at_target_size() -> None:
    assert size_in("nightly", BARS["C1"]) == "target"
    assert size_in("nightly", BARS["C2"]) == "gate"
    assert size_in("release", BARS["C2"]) == "target"


def test_bars_are_found_by_id_in_any_case_and_unknown_ones_are_named() -> None:
    assert [bar.id for bar in find(["p6", "C3"])] == ["C3", "P6"]
    with pytest.raises(UnknownBar, match="C99"):
        find(["C99"])
