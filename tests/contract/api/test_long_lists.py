"""A list of a hundred thousand rows (merchant-api.md §8): pages, cursors, clamping, the edges of days."""

from typing import Any

import pytest

from opentill.kernel.clock import DAY, SECOND, Instant
from opentill.payments import anchors
from tests.contract.api.house import House
from tests.usecases.payments.many import insert_payments

pytestmark = [pytest.mark.anyio, pytest.mark.checklist("M65")]

ROWS = 100_000
MIDNIGHT = Instant(1_772_841_600 * SECOND)  # 2026-03-07T00:00:00Z, fifteen and a half hours before now


@pytest.fixture
async def long(house: House) -> House:
    """A house whose shop has payments at the last second of one day and from the first of the next on."""
    owner = house.shop.merchant.owner
    await house.db.write(
        lambda tx: insert_payments(tx, owner, first=1, last=50_000, since=Instant(MIDNIGHT - DAY), step=1_728_000)
    )
    await house.db.write(lambda tx: insert_payments(tx, owner, first=50_001, last=ROWS, since=MIDNIGHT, step=SECOND))
    last = Instant(MIDNIGHT - SECOND)
    await house.run(
        "update payment set created_at = :last where reference = :r", last=last, r="txn_" + "50000".zfill(16)
    )
    while (await house.db.write(lambda tx: anchors.extend(tx, now=house.clock.now())))[0]:
        pass
    return house


async def listed(house: House, query: str) -> dict[str, Any]:
    answer = await house.merchant("GET", f"/transactions?{query}")
    assert answer.status == 200, answer.body
    told: dict[str, Any] = answer.json()
    return told


async def test_pages_and_cursors_show_the_same_and_numbers_are_clamped(long: House) -> None:
    first = await listed(long, "per_page=100")
    far = await listed(long, "page=777&per_page=100")
    last = await listed(long, "page=1000&per_page=100")
    beyond = await listed(long, "page=1001&per_page=100")
    clamped = await listed(long, "page=-3&per_page=5000")
    before = await listed(long, "page=776&per_page=100")
    after = await listed(long, f"per_page=100&cursor={before['meta']['next_cursor']}")

    assert first["meta"].items() >= {"page": 1, "per_page": 100, "total": ROWS, "total_pages": 1_000}.items()
    assert after["data"] == far["data"]
    assert [row["reference"] for row in last["data"]][-1] == "ORD-1"
    assert (len(last["data"]), last["meta"]["next_cursor"]) == (100, None)
    assert (beyond["data"], beyond["meta"]["total"]) == ([], ROWS)
    assert (clamped["meta"]["page"], clamped["meta"]["per_page"]) == (1, 100)
    assert clamped["data"] == first["data"]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("from=2026-03-07&to=2026-03-07", 50_000),
        ("from=2026-03-06&to=2026-03-06", 50_000),
        ("to=2026-03-06T23:59:58Z", 49_999),
        ("to=2026-03-06T23:59:59Z", 50_000),
        ("from=2026-03-06T23:59:59Z", 50_001),
        ("from=2026-03-07T00:00:00Z", 50_000),
        ("from=2026-03-07T01:00:00%2B01:00", 50_000),
        ("from=2026-03-08", 0),
        ("status=completed", 80_000),
    ],
)
async def test_days_begin_at_their_first_second_and_end_with_their_last(long: House, query: str, total: int) -> None:
    assert (await listed(long, f"{query}&per_page=1"))["meta"]["total"] == total
