"""What a bar is: its numbers, where it applies, and what runs it (bars.md §1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["sqlite", "postgres", "any"]
Tier = Literal["bar", "change", "nightly", "release"]
SizeName = Literal["gate", "target"]

LITE: tuple[Mode, ...] = ("sqlite",)
PG: tuple[Mode, ...] = ("postgres",)
BOTH: tuple[Mode, ...] = ("sqlite", "postgres")
CHANGE: tuple[Tier, ...] = ("change", "nightly", "release")
NIGHTLY: tuple[Tier, ...] = ("nightly", "release")


@dataclass(frozen=True)
class Rule:
    """One threshold: at least, at most, equal, or simply that it holds."""

    op: Literal[">=", "<=", "==", "holds"]
    value: float | bool

    def met(self, measured: float | bool) -> bool:
        match self.op:
            case ">=":
                return measured >= self.value
            case "<=":
                return measured <= self.value
            case _:
                return measured == self.value

    def __str__(self) -> str:
        sign = {">=": "≥ ", "<=": "≤ ", "==": "", "holds": "holds"}[self.op]
        return sign if self.op == "holds" else f"{sign}{self.value:g}"


HOLDS = Rule("holds", True)


@dataclass(frozen=True)
class Part:
    """One number of a bar. A part with a mode applies to that mode only."""

    name: str
    unit: str
    gate: Rule
    target: Rule
    limit: str | None = None
    mode: Mode | None = None

    def verdict(self, value: float | bool) -> str:
        if self.target.met(value):
            return "target"
        return "gate" if self.gate.met(value) else "fail"


def at_least(name: str, gate: float, target: float, *, unit: str = "ratio", **more: str) -> Part:
    """Return a part that should be large."""
    return Part(name, unit, Rule(">=", gate), Rule(">=", target), **more)  # type: ignore[arg-type]


def at_most(name: str, gate: float, target: float, *, unit: str = "ratio", **more: str) -> Part:
    """Return a part that should be small."""
    return Part(name, unit, Rule("<=", gate), Rule("<=", target), **more)  # type: ignore[arg-type]


def equals(name: str, value: float, *, unit: str) -> Part:
    """Return a part that has one right value."""
    return Part(name, unit, Rule("==", value), Rule("==", value))


RULE_HOLDS = Part("holds", "", HOLDS, HOLDS)


@dataclass(frozen=True)
class Benchmark:
    """A function `measure(wanted, session)` of a module of this suite."""

    module: str


@dataclass(frozen=True)
class MarkedTests:
    """Tests that carry `@pytest.mark.bar(id)`; *missing* says what has to exist before there can be one."""

    missing: str


@dataclass(frozen=True)
class NotBuilt:
    """Nothing measures this bar yet, and why."""

    reason: str


Runner = Benchmark | MarkedTests | NotBuilt


@dataclass(frozen=True)
class Bar:
    """One promise of bars.md."""

    id: str
    title: str
    runner: Runner
    modes: Sequence[Mode] = BOTH
    tiers: Sequence[Tier] = CHANGE
    parts: Sequence[Part] = (RULE_HOLDS,)
    sizes: Mapping[SizeName, str] = field(default_factory=dict)

    def parts_in(self, mode: Mode) -> Sequence[Part]:
        return [part for part in self.parts if part.mode in (None, mode)]


def sizes(gate: str, target: str) -> Mapping[SizeName, str]:
    """Name the size of the run at gate and at target, in the document's words."""
    return {"gate": gate, "target": target}
