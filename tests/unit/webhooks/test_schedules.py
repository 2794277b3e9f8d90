"""Waits between attempts (webhooks.md §5.6)."""

from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, Instant
from opentill.webhooks.model import Dialect
from opentill.webhooks.schedules import (
    SCHEDULES,
    honour_retry_after,
    is_valid_override,
    next_try,
    schedule_of,
)

NOW = Instant(1_784_000_000_000_000)

CUMULATIVE = {
    Dialect.MERCHANT: [0, 60, 360, 1260, 4860, 26460, 69660, 156060],
    Dialect.PIX: [0, 60, 360, 2160, 9360],
    Dialect.STANDARD: [0, 5, 305, 2105, 9305, 27305, 63305, 113705, 185705, 272105],
}


@pytest.mark.checklist("X48")
@pytest.mark.parametrize("dialect", Dialect)
def test_the_instants_of_a_schedule_add_up_to_the_documented_ones(dialect: Dialect) -> None:
    schedule = SCHEDULES[dialect]
    assert list(accumulate((0, *schedule.waits_s))) == CUMULATIVE[dialect]
    assert schedule.tries == len(CUMULATIVE[dialect])


@given(dialect=st.sampled_from(Dialect), seed=st.integers(0, 2**32), finished=st.integers(1, 12))
def test_chance_stays_within_the_jitter_of_the_dialect(dialect: Dialect, seed: int, finished: int) -> None:
    schedule = SCHEDULES[dialect]
    due_at = next_try(schedule, finished=finished, ended_at=NOW, chance=Random(seed))
    if finished >= schedule.tries:
        assert due_at is None
        return
    assert due_at is not None
    wait = (due_at - NOW) / SECOND / schedule.waits_s[finished - 1]
    assert 1 - schedule.jitter_below - 1e-6 <= wait <= 1 + schedule.jitter_above + 1e-6


def test_a_shorter_number_of_tries_ends_a_schedule_early() -> None:
    assert next_try(SCHEDULES[Dialect.MERCHANT], finished=1, ended_at=NOW, chance=Random(7), tries=1) is None


def test_an_owners_waits_keep_the_jitter_of_the_dialect() -> None:
    chosen = schedule_of(Dialect.PIX, (10, 20))
    assert (chosen.tries, chosen.jitter_below, chosen.jitter_above) == (3, 0.0, 0.10)


@pytest.mark.parametrize(
    ("waits", "valid"),
    [
        ((), True),
        ((1,), True),
        ((86_400,) * 7, True),
        ((86_400,) * 7 + (1,), False),
        ((0,), False),
        ((86_401,), False),
        ((1,) * 20, True),
        ((1,) * 21, False),
    ],
)
def test_an_override_has_at_most_twenty_waits_and_seven_days(waits: tuple[int, ...], valid: bool) -> None:
    assert is_valid_override(waits) is valid


PLANNED = Instant(NOW + MINUTE)


@pytest.mark.parametrize(
    ("dialect", "status", "asked", "expected"),
    [
        (Dialect.MERCHANT, 503, None, PLANNED),
        (Dialect.MERCHANT, 503, NOW + 30 * SECOND, PLANNED),
        (Dialect.MERCHANT, 500, NOW + HOUR, NOW + HOUR),
        (Dialect.MERCHANT, 429, NOW + 9 * DAY, NOW + DAY),
        (Dialect.PIX, 500, NOW + HOUR, PLANNED),
        (Dialect.PIX, 429, NOW + HOUR, NOW + HOUR),
        (Dialect.PIX, 503, NOW + DAY, PLANNED + 2 * HOUR),
    ],
)
def test_a_receiver_may_ask_for_more_time_within_limits(
    dialect: Dialect, status: int, asked: int | None, expected: int
) -> None:
    wanted = None if asked is None else Instant(asked)
    assert honour_retry_after(PLANNED, wanted, dialect=dialect, status=status, now=NOW) == expected
