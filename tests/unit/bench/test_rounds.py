"""Rounds are interleaved, disturbed ones are done again, and what never settles is called unstable."""

from collections.abc import Iterator

import pytest
from bench.rounds import Noise, Protocol, interleaved, settled

QUICK = Protocol(rounds=3, seconds=0.0, warmup_s=0.0, pause_s=0.0)


class Foreign:
    """Says the given shares, one for each subject measured."""

    def __init__(self, shares: Iterator[float]) -> None:
        self.shares = shares

    def start(self) -> None:
        """Nothing to remember."""

    def wait_until_quiet(self, share_max: float) -> None:
        """Nobody waits in a test."""

    def share(self) -> float:
        return next(self.shares)


def quiet() -> Iterator[float]:
    while True:
        yield 0.01


def test_limit_and_product_take_turns() -> None:
    turns: list[str] = []

    def subject(name: str):  # type: ignore[no-untyped-def]
        return lambda seconds: turns.append(name) or 1.0

    interleaved({"limit": subject("limit"), "product": subject("product")}, QUICK, Foreign(quiet()), Noise())
    assert turns == ["limit", "product"] * 3


def test_a_round_with_foreign_cpu_is_discarded_and_done_again() -> None:
    noise, shares = Noise(), iter([0.01, 0.02, 0.5, 0.01, 0.03, 0.01, 0.01])
    values = iter(range(7))
    series = interleaved({"a": lambda _: next(values), "b": lambda _: next(values)}, QUICK, Foreign(shares), noise)
    assert series.values == {"a": [0, 3, 5], "b": [1, 4, 6]}
    assert noise.rounds_discarded == 1
    assert noise.foreign_cpu_max == pytest.approx(0.03)


def test_without_a_quiet_machine_nothing_is_measured() -> None:
    def loud() -> Iterator[float]:
        while True:
            yield 0.5

    series = settled({"a": lambda _: 1, "b": lambda _: 1}, [("a", "b")], QUICK, Foreign(loud()), Noise())
    assert not series.complete
    assert series.settled == {}


def test_the_median_of_the_ratios_is_reported_with_all_of_them() -> None:
    mine = iter([0.0, 30, 31, 32])
    series = settled({"a": lambda _: next(mine), "b": lambda _: 100}, [("a", "b")], QUICK, Foreign(quiet()), Noise())
    found = series.settled["a", "b"]
    assert found.value == pytest.approx(0.31)
    assert list(found.rounds) == pytest.approx([0.30, 0.31, 0.32])
    assert found.stable


def test_a_wide_spread_is_measured_three_times_and_then_called_unstable() -> None:
    mine = iter([0.0] + [10, 20, 30] * 3)
    series = settled({"a": lambda _: next(mine), "b": lambda _: 100}, [("a", "b")], QUICK, Foreign(quiet()), Noise())
    assert not series.settled["a", "b"].stable
    assert next(mine, None) is None
