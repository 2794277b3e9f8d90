"""Windows of one minute, aligned to whole Unix minutes."""

from opentill.kernel.clock import MINUTE, SECOND, Instant
from opentill.web.rate_limit import BUCKETS_MAX, Windows

NOON = Instant(1_772_884_800 * SECOND)


def test_a_window_ends_with_the_minute_and_not_sixty_seconds_after_the_first_request() -> None:
    windows = Windows()
    late = Instant(NOON + 50 * SECOND)

    taken = [windows.take("a", 2, late) for _ in range(3)]

    assert [standing.refused for standing in taken] == [False, False, True]
    assert [standing.remaining for standing in taken] == [1, 0, 0]
    assert taken[0].resets_at_s == (NOON + MINUTE) // SECOND
    assert taken[0].retry_after_s == 10
    assert not windows.take("a", 2, Instant(NOON + MINUTE)).refused


def test_refused_requests_and_looks_do_not_count() -> None:
    windows = Windows()
    windows.take("a", 1, NOON)
    for _ in range(5):
        windows.take("a", 1, NOON)
        windows.look("a", 1, NOON)

    assert windows.look("a", 2, NOON).remaining == 1


def test_a_wait_is_at_least_a_second() -> None:
    windows = Windows()

    assert windows.look("a", 1, Instant(NOON + MINUTE - 1)).retry_after_s == 1


def test_a_clock_that_steps_back_starts_a_window_of_its_own() -> None:
    windows = Windows()
    windows.take("a", 1, NOON)

    assert not windows.take("a", 1, Instant(NOON - MINUTE)).refused


def test_memory_is_bounded_and_forgets_the_oldest_caller_first() -> None:
    windows = Windows()
    for number in range(BUCKETS_MAX + 1):
        windows.take(f"caller {number}", 1, NOON)

    assert not windows.take("caller 0", 1, NOON).refused
    assert windows.take(f"caller {BUCKETS_MAX}", 1, NOON).refused
