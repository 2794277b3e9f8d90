"""A lane with a rate sends no faster than it, and what waits for a token waits for nothing else (webhooks.md §5.3)."""

import pytest

from opentill.kernel.clock import SECOND, Instant
from opentill.webhooks.model import Options
from opentill.webhooks.rules import Bucket, bucket_of
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio


async def happen(bench: Bench, count: int) -> None:
    await bench.happens(*[bench.event(object_id=f"p-{n}") for n in range(count)])
    await bench.plan()


async def test_no_more_is_sent_than_the_burst_at_once_and_the_rate_later(bench: Bench) -> None:
    await bench.endpoint(options=Options(rate_per_s=2, burst=3, max_in_flight=50))
    await happen(bench, 10)

    assert await bench.claim_and_complete() == 3
    assert await bench.claim_and_complete() == 0
    bench.clock.advance(SECOND // 2)
    assert await bench.claim_and_complete() == 1
    bench.clock.advance(10 * SECOND)
    assert await bench.claim_and_complete() == 3


async def test_a_rate_holds_over_several_workers(bench: Bench) -> None:
    await bench.endpoint(options=Options(rate_per_s=1, burst=2, max_in_flight=50))
    await happen(bench, 5)
    assert len(await bench.claim(worker="one")) + len(await bench.claim(worker="two")) == 2


async def test_other_lanes_do_not_wait_for_a_slow_one(bench: Bench) -> None:
    await bench.endpoint(options=Options(rate_per_s=0.1, max_in_flight=50))
    await bench.endpoint("https://other.example/hook", options=Options(max_in_flight=50))
    await happen(bench, 5)
    assert await bench.claim_and_complete() == 6


async def test_deliveries_of_a_lane_with_a_rate_are_never_planned_as_claimed(bench: Bench) -> None:
    from opentill.webhooks import planning
    from opentill.webhooks.direct import Slots

    await bench.endpoint(options=Options(rate_per_s=1))
    await bench.happens(bench.event())
    engine = bench.engine
    planned = await bench.db.write(
        lambda tx: planning.plan(
            tx, ids=engine.ids, keyring=engine.keyring, now=bench.clock.now(), slots=Slots("w", 8, {}, 8)
        )
    )
    assert (planned.jobs, planned.deliveries) == ((), 1)


def test_a_bucket_fills_with_time_up_to_its_burst_and_says_when_it_opens() -> None:
    start = Instant(1_000 * SECOND)
    bucket = Bucket(per_s=2, burst=4, tokens=0, at=start)
    assert bucket.opens_at == start + SECOND // 2
    assert bucket.tokens_at(Instant(start + SECOND)) == 2
    assert bucket.tokens_at(Instant(start + 60 * SECOND)) == 4
    assert bucket.tokens_at(Instant(start - 60 * SECOND)) == 0
    assert bucket_of(None, None, None, None) is None
    fresh = bucket_of(0.1, None, None, None)
    assert fresh is not None
    assert (fresh.burst, fresh.tokens) == (1, 1.0)
