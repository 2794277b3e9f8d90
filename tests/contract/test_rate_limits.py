"""Windows of one minute, aligned to whole Unix minutes: in the process and in Redis alike (merchant-api.md §4)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from opentill.kernel.clock import MINUTE, SECOND, Instant
from opentill.web.rate_limit import BUCKETS_MAX, Counters, Limits, OwnLimits, Windows
from opentill.web.rate_limit_shared import SharedLimits
from tests.fakes.redis import RedisServer

pytestmark = pytest.mark.anyio

NOON = Instant(1_772_884_800 * SECOND)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["own", "shared"])
async def limits(request: pytest.FixtureRequest) -> AsyncIterator[Limits]:
    made: Limits = OwnLimits() if request.param == "own" else SharedLimits(request.getfixturevalue("redis").url)
    yield made
    await made.close()


@pytest.fixture
def counters(limits: Limits, request: pytest.FixtureRequest) -> Counters:
    return limits.counters(request.node.name, open_at_failure=True)


async def test_a_window_ends_with_the_minute_and_not_sixty_seconds_after_the_first_request(counters: Counters) -> None:
    late = Instant(NOON + 50 * SECOND)

    taken = [await counters.take("a", 2, late) for _ in range(3)]

    assert [standing.refused for standing in taken] == [False, False, True]
    assert [standing.remaining for standing in taken] == [1, 0, 0]
    assert taken[0].resets_at_s == (NOON + MINUTE) // SECOND
    assert taken[0].retry_after_s == 10
    assert not (await counters.take("a", 2, Instant(NOON + MINUTE))).refused


async def test_refused_requests_and_looks_do_not_count(counters: Counters) -> None:
    await counters.take("a", 1, NOON)
    for _ in range(5):
        await counters.take("a", 1, NOON)
        await counters.look("a", 1, NOON)

    assert (await counters.look("a", 2, NOON)).remaining == 1


async def test_a_wait_is_at_least_a_second(counters: Counters) -> None:
    assert (await counters.look("a", 1, Instant(NOON + MINUTE - 1))).retry_after_s == 1


async def test_a_clock_that_steps_back_starts_a_window_of_its_own(counters: Counters) -> None:
    await counters.take("a", 1, NOON)

    assert not (await counters.take("a", 1, Instant(NOON - MINUTE))).refused


async def test_a_limit_that_was_lowered_meanwhile_leaves_nothing_and_not_less(counters: Counters) -> None:
    for _ in range(5):
        await counters.take("a", 5, NOON)

    lowered = await counters.take("a", 2, NOON)

    assert (lowered.refused, lowered.remaining) == (True, 0)


async def test_callers_and_kinds_of_requests_are_counted_apart(limits: Limits, counters: Counters) -> None:
    other = limits.counters("another kind", open_at_failure=True)
    await counters.take("a", 1, NOON)

    assert not (await counters.take("b", 1, NOON)).refused
    assert not (await other.take("a", 1, Instant(NOON + 7 * MINUTE))).refused


async def test_of_many_at_once_exactly_as_many_pass_as_may(counters: Counters) -> None:
    taken = await asyncio.gather(*[counters.take("a", 20, NOON) for _ in range(60)])

    assert sum(not standing.refused for standing in taken) == 20


async def test_memory_is_bounded_and_forgets_the_oldest_caller_first() -> None:
    windows = Windows()
    for number in range(BUCKETS_MAX + 1):
        await windows.take(f"caller {number}", 1, NOON)

    assert not (await windows.take("caller 0", 1, NOON)).refused
    assert (await windows.take(f"caller {BUCKETS_MAX}", 1, NOON)).refused


async def test_processes_share_what_redis_counts(redis: RedisServer) -> None:
    one, other = SharedLimits(redis.url), SharedLimits(redis.url)
    first, second = (limits.counters("shared", open_at_failure=True) for limits in (one, other))

    await first.take("a", 2, NOON)
    await second.take("a", 2, NOON)

    assert (await first.take("a", 2, NOON)).refused
    await one.close()
    await other.close()


@pytest.mark.bar("R9")
async def test_while_redis_is_away_requests_pass_or_are_counted_here_and_come_back_with_it(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    limits = SharedLimits(redis.url)
    merchant, pix = limits.counters("merchant", open_at_failure=True), limits.counters("pix", open_at_failure=False)
    for counters in (merchant, pix):
        await counters.take("a", 1, NOON)

    redis.kill()
    open_, closed = [await merchant.take("a", 1, NOON) for _ in range(3)], [await pix.take("a", 1, NOON) for _ in "abc"]
    redis.start()
    soon = await merchant.take("a", 1, Instant(NOON + SECOND))
    later = [await merchant.take("a", 1, Instant(NOON + 6 * SECOND)) for _ in range(2)]
    redis.kill()
    await limits.close()

    assert {(standing.refused, standing.remaining) for standing in open_} == {(False, 1)}  # a full bucket
    assert [standing.refused for standing in closed] == [False, True, True]  # this process counts for itself
    assert not soon.refused  # a store that failed is not asked at once
    assert [standing.refused for standing in later] == [False, True]
