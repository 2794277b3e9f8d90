"""P41: how the ratios of one run compare with those of another on the same machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORSE_FAILS = 0.15
WORSE_WARNS = 0.10


@dataclass(frozen=True)
class Change:
    """One number in both runs; *gain* is positive where it became better."""

    bar: str
    mode: str
    part: str
    before: float
    after: float
    gain: float

    @property
    def too_slow(self) -> bool:
        return self.gain < -WORSE_FAILS

    @property
    def word(self) -> str:
        if self.too_slow:
            return "FAIL"
        return "warning" if self.gain < -WORSE_WARNS else "ok"


def compared(base: Mapping[str, Any], changed: Mapping[str, Any]) -> Sequence[Change]:
    """Return every number that both runs measured."""
    before, after = numbers(base), numbers(changed)
    return [change(key, before[key], after[key]) for key in before if key in after]


def numbers(result: Mapping[str, Any]) -> dict[tuple[str, str, str], tuple[float, str]]:
    return {
        (bar["id"], bar["mode"], bar["part"]): (bar["value"], bar["gate"]["op"])
        for bar in result["bars"]
        if bar["verdict"] in ("target", "gate", "fail") and bar["gate"]["op"] in (">=", "<=") and bar["value"]
    }


def change(key: tuple[str, str, str], before: tuple[float, str], after: tuple[float, str]) -> Change:
    times = after[0] / before[0]
    return Change(*key, before[0], after[0], times - 1 if after[1] == ">=" else 1 / times - 1)


def table(changes: Sequence[Change]) -> str:
    lines = ["| bar | mode | what | before | after | change | verdict |", "|---|---|---|---|---|---|---|"]
    for row in changes:
        lines.append(
            f"| {row.bar} | {row.mode} | {row.part} | {row.before:.3g} | {row.after:.3g} "
            f"| {row.gain:+.0%} | {row.word} |"
        )
    return "\n".join(lines)
