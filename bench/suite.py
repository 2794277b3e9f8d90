"""Bars that are proved by tests: runs the marked tests and turns what they say into results."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.bar import Bar, MarkedTests, Mode, Part, SizeName
from bench.product import Install
from bench.results import Found, not_run

ROOT = Path(__file__).parents[1]
NO_TESTS = 5
"""pytest's exit status when nothing was collected."""
PASSED_ON = ("OPENTILL_BAR_SEED", "OPENTILL_TEST_DATABASE_URL")
Line = Mapping[str, Any]


def measure(bars: Sequence[Bar], modes: Sequence[Mode], size: SizeName) -> Sequence[Found]:
    """Run the tests of *bars* in one go; return what they say about each bar and database."""
    with tempfile.TemporaryDirectory(prefix="opentill-bar-") as folder:
        path = Path(folder) / "results.jsonl"
        status, output = pytest(bars, modes, size, path)
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = []
    for bar in bars:
        for mode in modes_of(bar, modes):
            ours = [line for line in lines if line["id"] == bar.id and (mode == "any" or line["mode"] in (mode, "any"))]
            for part in bar.parts_in(mode):
                if status not in (0, 1, NO_TESTS):
                    found.append(failed(bar, part, mode, f"pytest ended with {status}: {output}"))
                else:
                    found.append(judged(bar, part, mode, size, of_part(ours, part, bar)))
    return found


def modes_of(bar: Bar, modes: Sequence[Mode]) -> Sequence[Mode]:
    return ("any",) if "any" in bar.modes else [mode for mode in modes if mode in bar.modes]


def pytest(bars: Sequence[Bar], modes: Sequence[Mode], size: SizeName, results: Path) -> tuple[int, str]:
    """Run pytest for *bars*; return its exit status and the end of its output."""
    environment = Install(Path()).environment(
        OPENTILL_BAR_RESULTS=str(results),
        OPENTILL_BAR_SIZE=size,
        OPENTILL_BAR_DB=modes[0] if len(modes) == 1 else "both",
    )
    environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    words = [word for bar in bars for word in ("--bar", bar.id)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.bars", "-m", "bar", "--timeout=0", *words, "tests"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 1:
        print(done.stdout[-6000:])
    return done.returncode, (done.stdout + done.stderr).strip()[-400:]


def of_part(lines: Sequence[Line], part: Part, bar: Bar) -> Sequence[Line]:
    """Return what was said about *part*; tests that name no part speak about all of them."""
    return [line for line in lines if len(bar.parts) == 1 or line["part"] in ("", part.name)]


def judged(bar: Bar, part: Part, mode: Mode, size: SizeName, lines: Sequence[Line]) -> Found:
    if not lines:
        assert isinstance(bar.runner, MarkedTests)
        return not_run(bar, part, mode, f"not built yet: {bar.runner.missing}")
    bad = [line for line in lines if line["outcome"] == "failed"]
    if bad:
        return failed(bar, part, mode, f"{bad[0]['test']}: {bad[0]['reason']}", **sizes(lines))
    passed = [line for line in lines if line["outcome"] == "passed"]
    if not passed:
        return not_run(bar, part, mode, lines[0]["reason"] or "every test was skipped")
    value = next((line["value"] for line in passed if "value" in line), part.target.value)
    verdict = part.verdict(value)
    if verdict == "target" and any(line.get("size_name") == "gate" for line in passed):
        verdict = "gate"  # the rule held, at the smaller size
    seed = next((line["seed"] for line in passed if "seed" in line), None)
    skipped = sum(line["outcome"] == "skipped" for line in lines)
    notes = dict.fromkeys(line["note"] for line in passed if "note" in line)
    note = "; ".join([*notes, *([f"{skipped} of its tests skipped"] if skipped else [])])
    measured = (value, part.unit) if any("value" in line for line in passed) else None
    return Found(bar, part, mode, verdict, value, measured, size=sizes(passed), seed=seed, note=note)


def failed(bar: Bar, part: Part, mode: Mode, reason: str, **size: Any) -> Found:
    value = False if part.gate.op == "holds" else 0.0
    return Found(bar, part, mode, "fail", value, size=size, note=reason)


def sizes(lines: Sequence[Line]) -> dict[str, Any]:
    """Return the number of tests, and the size where they have one."""
    named: dict[str, Any] = {}
    for line in lines:
        named |= line.get("size", {})
    return {"tests": len(lines)} | named
