"""Measuring in rounds: limit, product, limit, product … so that both meet the same machine (bars.md §1.4)."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.noise import FOREIGN_CPU_MAX, ForeignCpu

Subject = Callable[[float], float]
"""Works for the given seconds and returns what it reached."""

SPREAD_MAX = 0.25
TRIES_PER_ROUND = 4


@dataclass(frozen=True)
class Protocol:
    """How long and how often; the defaults are those of bars.md."""

    rounds: int = 5
    seconds: float = 8.0
    warmup_s: float = 3.0
    pause_s: float = 0.2
    repetitions_max: int = 3
    foreign_cpu_max: float = FOREIGN_CPU_MAX


CHANGE = Protocol(rounds=3, seconds=4.0)


@dataclass
class Noise:
    """What disturbed the whole run."""

    foreign_cpu_max: float = 0.0
    rounds_discarded: int = 0


@dataclass(frozen=True)
class Ratio:
    """The median of the per-round ratios of two subjects, with all of them."""

    value: float
    rounds: Sequence[float]
    over: float
    under: float

    @property
    def spread(self) -> float:
        return spread(self.rounds)

    @property
    def stable(self) -> bool:
        return self.spread <= SPREAD_MAX


@dataclass
class Series:
    """What each subject reached in each round that counted."""

    values: dict[str, list[float]]
    complete: bool = True
    settled: dict[tuple[str, str], Ratio] = field(default_factory=dict)


def spread(values: Sequence[float]) -> float:
    """Return (largest − smallest) ÷ median."""
    median = statistics.median(values)
    return (max(values) - min(values)) / median if median else 0.0


def ratio(series: Series, over: str, under: str) -> Ratio:
    each = [a / b for a, b in zip(series.values[over], series.values[under], strict=True)]
    return Ratio(
        value=statistics.median(each),
        rounds=each,
        over=statistics.median(series.values[over]),
        under=statistics.median(series.values[under]),
    )


def interleaved(subjects: Mapping[str, Subject], protocol: Protocol, foreign: ForeignCpu, noise: Noise) -> Series:
    """Let the subjects take turns; a round in which others used too much of the machine is done again."""
    values: dict[str, list[float]] = {name: [] for name in subjects}
    tries_left, rounds = protocol.rounds * TRIES_PER_ROUND, 0
    while tries_left and rounds < protocol.rounds:
        tries_left -= 1
        foreign.wait_until_quiet(protocol.foreign_cpu_max)
        found = one_round(subjects, protocol, foreign, noise)
        if found is None:
            noise.rounds_discarded += 1
            continue
        rounds += 1
        for name, value in found.items():
            values[name].append(value)
    return Series(values, complete=rounds == protocol.rounds)


def one_round(
    subjects: Mapping[str, Subject], protocol: Protocol, foreign: ForeignCpu, noise: Noise
) -> dict[str, float] | None:
    """Return what each subject reached, or nothing as soon as others used too much of the machine."""
    found: dict[str, float] = {}
    worst = 0.0
    for name, work in subjects.items():
        time.sleep(protocol.pause_s)
        foreign.start()
        found[name] = work(protocol.seconds)
        worst = max(worst, foreign.share())
        if worst > protocol.foreign_cpu_max:
            return None
    noise.foreign_cpu_max = max(noise.foreign_cpu_max, worst)
    return found


def settled(
    subjects: Mapping[str, Subject],
    pairs: Sequence[tuple[str, str]],
    protocol: Protocol,
    foreign: ForeignCpu,
    noise: Noise,
) -> Series:
    """Measure until every ratio of *pairs* is stable or the tries are used up; keep each at its first stable value."""
    for work in subjects.values():
        work(protocol.warmup_s)
    kept: dict[tuple[str, str], Ratio] = {}
    for _ in range(protocol.repetitions_max):
        series = interleaved(subjects, protocol, foreign, noise)
        if not series.complete:
            break
        for pair in pairs:
            if pair not in kept or not kept[pair].stable:
                kept[pair] = ratio(series, *pair)
        if all(found.stable for found in kept.values()):
            break
    series.settled = kept
    return series
