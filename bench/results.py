"""What a run found, and the file it is written to (bars.md appendix A)."""

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema

from bench.bar import Bar, Mode, Part, Tier
from bench.machine import Machine
from bench.rounds import Noise, Ratio

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SCHEMA = HERE / "result.schema.json"
VERDICTS = ("target", "gate", "fail", "unstable", "not_run")


@dataclass(frozen=True)
class Found:
    """One part of one bar in one mode, measured or not."""

    bar: Bar
    part: Part
    mode: Mode
    verdict: str
    value: float | bool | None = None
    measured: tuple[float, str] | None = None
    rounds: Sequence[float] = ()
    spread: float | None = None
    size: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": self.bar.id,
            "mode": self.mode,
            "part": self.part.name,
            "limit": self.part.limit,
            "gate": asdict(self.part.gate),
            "target": asdict(self.part.target),
            "verdict": self.verdict,
            "note": self.note,
        }
        if self.verdict != "not_run":
            row |= {"value": rounded(self.value), "unit": self.part.unit, "size": dict(self.size), "seed": self.seed}
        if self.measured:
            row["measured"] = {"value": rounded(self.measured[0]), "unit": self.measured[1]}
        if self.rounds:
            row["rounds"] = [rounded(value) for value in self.rounds]
        if self.spread is not None:
            row["spread"] = rounded(self.spread)
        return row


def not_run(bar: Bar, part: Part, mode: Mode, reason: str) -> Found:
    return Found(bar, part, mode, "not_run", note=reason)


def judged(
    bar: Bar, part: Part, mode: Mode, found: Ratio, *, measured: tuple[float, str], note: str = "", **size: Any
) -> Found:
    """Compare a measured ratio with the gate and the target of *part*."""
    verdict = part.verdict(found.value) if found.stable else "unstable"
    return Found(bar, part, mode, verdict, found.value, measured, found.rounds, found.spread, size, None, note)


@dataclass
class Limits:
    """The limits measured beside, each with all its rounds."""

    rows: dict[tuple[str, Mode, str], list[float]] = field(default_factory=dict)

    def add(self, name: str, mode: Mode, unit: str, values: Sequence[float]) -> None:
        self.rows.setdefault((name, mode, unit), []).extend(values)

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "id": name,
                "mode": mode,
                "value": rounded(statistics.median(values)),
                "unit": unit,
                "rounds": [rounded(value) for value in values],
            }
            for (name, mode, unit), values in sorted(self.rows.items())
        ]


@dataclass
class Run:
    """Everything a result file holds."""

    tier: Tier
    machine: Machine
    software: dict[str, str]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    settings: dict[str, Any] = field(
        default_factory=lambda: {"sqlite": None, "postgres": None, "server": None, "opentill": None}
    )
    noise: Noise = field(default_factory=Noise)
    limits: Limits = field(default_factory=Limits)
    found: list[Found] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        product = repository_state()
        return {
            "schema": "opentill.bars/1",
            "run_id": f"{self.started_at:%Y%m%dT%H%M%SZ}-{product['commit']}",
            "tier": self.tier,
            "started_at": f"{self.started_at:%Y-%m-%dT%H:%M:%SZ}",
            "finished_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "product": product,
            "machine": asdict(self.machine),
            "software": self.software,
            "settings": self.settings,
            "noise": {
                "foreign_cpu_max": rounded(self.noise.foreign_cpu_max),
                "rounds_discarded": self.noise.rounds_discarded,
            },
            "limits": self.limits.as_json(),
            "bars": [found.as_json() for found in self.found],
            "totals": {verdict: sum(f.verdict == verdict for f in self.found) for verdict in VERDICTS},
        }


def write(result: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Check *result* against the schema and write it; return the path."""
    jsonschema.validate(result, json.loads(SCHEMA.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['run_id']}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path


def repository_state() -> dict[str, Any]:
    """Return the version of the product, the commit, and whether files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    return {"version": version("opentill"), "commit": git("rev-parse", "--short", "HEAD") or "unknown", "dirty": dirty}


def rounded(value: float | bool | None) -> float | bool | None:
    """Keep four digits that mean something."""
    if value is None or isinstance(value, bool | int):
        return value
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
