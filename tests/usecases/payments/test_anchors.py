"""Lists by page number begin at the nearest anchor, and show what they would show without one."""

from collections.abc import Sequence

import pytest

from opentill.db import Database, ReadTx
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, Instant
from opentill.kernel.owner import Owner
from opentill.payments import anchors, figures, queries
from opentill.payments.queries import EVERYTHING, Filters
from tests.make import NOW, Scene
from tests.usecases.payments.many import insert_payments

pytestmark = pytest.mark.anyio

SINCE = Instant(NOW - 2 * DAY)


class Lists:
    """Two merchants whose payments came in turns: 3,500 and 700."""

    def __init__(self, database: Database, scene: Scene, owner: Owner, other: Owner) -> None:
        self.db, self.scene, self.owner, self.other = database, scene, owner, other

    async def extend(self, now: Instant = NOW) -> int:
        made, _ = await self.db.write(lambda tx: anchors.extend(tx, now=now))
        return made

    async def ids(self, offset: int, filters: Filters = EVERYTHING, limit: int = 7) -> Sequence[int]:
        def page(tx: ReadTx) -> Sequence[int]:
            found = queries.page(
                tx, filters, owner=self.owner, keyring=self.scene.keyring, now=NOW, limit=limit, offset=offset
            )
            return [payment.id for payment in found]

        return await self.db.read(page)

    async def count(self, filters: Filters = EVERYTHING, owner: Owner | None = None) -> int:
        return await self.db.read(lambda tx: queries.count(tx, filters, owner=owner or self.owner, now=NOW))

    async def all_ids(self) -> Sequence[int]:
        rows = await self.db.read(
            lambda tx: tx.all(
                "select id from payment where merchant_id = :m order by id desc", m=self.owner.merchant_id
            )
        )
        return [row["id"] for row in rows]


@pytest.fixture
async def lists(database: Database) -> Lists:
    scene = Scene()
    shop, other = await database.write(scene.merchant), await database.write(scene.merchant)

    for turn in range(7):
        start, since = turn * 600, Instant(SINCE + turn * HOUR)
        await database.write(
            lambda tx, a=start, s=since: insert_payments(
                tx, shop.owner, first=a + 1, last=a + 500, since=s, step=6 * SECOND
            )
        )
        await database.write(
            lambda tx, a=start, s=since: insert_payments(
                tx, other.owner, first=a + 501, last=a + 600, since=s, step=6 * SECOND
            )
        )
    return Lists(database, scene, shop.owner, other.owner)


async def test_anchors_are_set_one_at_a_time_until_none_is_due(lists: Lists) -> None:
    assert [await lists.extend() for _ in range(5)] == [1, 1, 1, 0, 0]

    rows = await lists.db.read(lambda tx: tx.all("select * from payment_anchor order by ordinal"))
    oldest_first = list(reversed(await lists.all_ids()))
    assert [(row["ordinal"], row["payment_id"]) for row in rows] == [
        (ordinal, oldest_first[ordinal - 1]) for ordinal in (1_000, 2_000, 3_000)
    ]
    assert {row["merchant_id"] for row in rows} == {lists.owner.merchant_id}


async def test_pages_and_totals_are_the_same_with_anchors_as_without(lists: Lists) -> None:
    every = await lists.all_ids()
    offsets = [0, 1, 493, 500, 999, 1_000, 1_001, 1_500, 2_499, 2_500, 2_501, 3_493, 3_499, 3_500, 3_501, 9_999_999]
    plain = [await lists.ids(offset) for offset in offsets]
    while await lists.extend():
        pass

    anchored = [await lists.ids(offset) for offset in offsets]

    assert anchored == plain == [every[offset : offset + 7] for offset in offsets]
    assert (await lists.count(), await lists.count(owner=lists.other)) == (3_500, 700)


async def test_filters_by_time_find_the_same_with_anchors_as_without(lists: Lists) -> None:
    spans = [
        Filters(since=SINCE),
        Filters(since=Instant(SINCE + 3 * HOUR)),
        Filters(before=Instant(SINCE + 2 * HOUR)),
        Filters(since=Instant(SINCE + HOUR), before=Instant(SINCE + HOUR + 10 * MINUTE), statuses=("completed",)),
        Filters(since=Instant(SINCE + 9 * HOUR)),
        Filters(before=SINCE),
        Filters(statuses=("pending", "expired")),
        Filters(gateway="pix", statuses=("expired",)),
    ]
    plain = [(await lists.count(span), await lists.ids(3, span)) for span in spans]
    while await lists.extend():
        pass

    assert [(await lists.count(span), await lists.ids(3, span)) for span in spans] == plain
    assert [found for found, _ in plain] == [3_500, 2_000, 1_000, 80, 0, 0, 700, 350]


async def test_a_payment_is_not_anchored_while_an_older_one_may_still_appear(lists: Lists) -> None:
    newest = SINCE + HOUR + 499 * 6 * SECOND  # of the thousandth

    assert await lists.extend(Instant(newest + 4 * MINUTE)) == 0
    assert await lists.extend(Instant(newest + 5 * MINUTE)) == 1


async def test_the_figures_of_days_are_the_same_with_anchors_as_without(lists: Lists) -> None:
    since = Instant(SINCE + 4 * HOUR)

    async def added_up() -> Sequence[figures.Figure]:
        found = await lists.db.read(lambda tx: figures.by_day(tx, owner=lists.owner, since=since))
        return sorted(found, key=str)

    before = await added_up()
    while await lists.extend():
        pass

    assert sum(figure.count for figure in before) == 1_500
    assert await added_up() == before
