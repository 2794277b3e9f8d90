"""Lists of events show and count the same from blocks that were counted as without them, whatever is removed."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import DAY, MINUTE, SECOND, Instant
from opentill.kernel.owner import Owner
from opentill.webhooks import event_blocks, retention
from opentill.webhooks.queries import event_log
from opentill.webhooks.queries.event_log import EventFilters
from opentill.webhooks.retention import Terms
from tests.make import NOW, Scene

pytestmark = pytest.mark.anyio

SINCE = Instant(NOW - 100 * DAY)
LATER = Instant(NOW + 5 * MINUTE)
MIDDLE = Instant(SINCE + 2_500 * SECOND)
FILTERS = {
    "all": EventFilters(),
    "name": EventFilters(event="payment.completed"),
    "rare": EventFilters(event="dispute.created"),
    "nobody": EventFilters(event="refund.failed"),
    "from": EventFilters(since=MIDDLE),
    "until": EventFilters(before=MIDDLE),
    "span": EventFilters(event="payment.pending", since=MIDDLE, before=Instant(MIDDLE + 300 * SECOND)),
}
# A third of the events is for the other dialect only; one of 700 is a dispute; the clock was once two days behind.
INSERT = """
with recursive n(i) as (select cast(:first as bigint) union all select i + 1 from n where i < :last)
insert into event (id, merchant_id, mode, type, merchant_type, object_type, object_id, occurred_at, doc, plan_state)
select 'evt_' || substr(cast(1000000000000 + i as text), 2) || '000000000000', :merchant_id, :mode, 'any',
       case when i % 3 = 0 then null when i % 700 = 1 then 'dispute.created' when i % 2 = 0 then 'payment.completed'
            else 'payment.pending' end,
       'payment', 'x', cast(:since as bigint) + i * 1000000 - case when i between 1500 and 1600 then 172800000000
       else 0 end, :doc, 1
  from n order by i
"""


class Events:
    """A merchant with 4,600 events of a hundred days ago, and another with 500 between them."""

    def __init__(self, database: Database, scene: Scene, owner: Owner) -> None:
        self.db, self.scene, self.owner = database, scene, owner

    async def set_blocks(self, now: Instant = NOW) -> None:
        while (await self.db.write(lambda tx: event_blocks.extend(tx, now=now)))[0]:
            pass

    async def count(self, now: Instant = LATER) -> int:
        counted = 0
        while more := await self.db.write(lambda tx: event_blocks.write_down(tx, now=now)):
            counted += more
        return counted

    async def tallies(self) -> Sequence[str | None]:
        rows = await self.db.read(lambda tx: tx.all("select tally from event_block order by merchant_id, up_to"))
        return [row["tally"] for row in rows]

    async def shown(self, filters: EventFilters) -> tuple[int, list[list[int]]]:
        """Return how many there are, and pages near and far, by number and by cursor."""
        places = [(offset, None) for offset in (0, 3, 95, 999, 1_700, 2_500, 3_100)]
        cursors = [(0, before) for before in (5_200, 4_001, 1_001, 17)]
        return await self.db.read(
            lambda tx: (
                event_log.count(tx, filters=filters, owner=self.owner),
                [
                    [
                        row.id
                        for row in event_log.page(
                            tx, filters=filters, owner=self.owner, limit=7, offset=offset, before=before
                        )
                    ]
                    for offset, before in [*places, *cursors]
                ],
            )
        )

    async def remove(self, now: Instant, most: int = 100) -> int:
        """Remove what is older than ninety days, a batch a transaction, as far as one round goes."""
        done = await self.db.write(
            lambda tx: retention.purge_events(
                tx, 0, terms=Terms(event_days=90), keyring=self.scene.keyring, now=now, most=most
            )
        )
        return done.removed


@pytest.fixture
async def events(database: Database) -> Events:
    scene = Scene()
    shop, other = await database.write(scene.merchant), await database.write(scene.merchant)

    def insert(tx: Tx) -> None:
        for owner, first, last in ((shop.owner, 1, 2_500), (other.owner, 2_501, 3_000), (shop.owner, 3_001, 5_100)):
            tx.run(INSERT, first=first, last=last, since=SINCE, doc=b"{}", **owner.columns)

    await database.write(insert)
    return Events(database, scene, shop.owner)


@pytest.mark.parametrize("name", list(FILTERS))
async def test_lists_are_the_same_with_counted_blocks_as_without(events: Events, name: str) -> None:
    before = await events.shown(FILTERS[name])
    await events.set_blocks()
    uncounted = await events.shown(FILTERS[name])
    counted = await events.count()

    assert counted == 4
    assert json.loads((await events.tallies())[0] or "") == {
        "dispute.created": 2, "payment.completed": 334, "payment.pending": 331,
    }  # fmt: skip
    assert uncounted == before
    assert await events.shown(FILTERS[name]) == before


async def test_a_block_is_counted_when_who_did_not_see_it_is_done(events: Events) -> None:
    await events.set_blocks()

    assert await events.count(Instant(LATER - 1)) == 0
    assert await events.count(LATER) == 4


async def test_what_is_removed_is_counted_no_more(events: Events) -> None:
    await events.set_blocks()
    await events.count()
    held = await events.tallies()

    assert await events.remove(NOW) == 100

    assert await events.tallies() == [None, *held[1:]]
    plain = await events.shown(EventFilters())
    assert plain[0] == 3_067 - 67
    assert await events.count() == 1
    assert await events.shown(EventFilters()) == plain


async def test_blocks_go_with_the_last_of_their_events(events: Events) -> None:
    await events.set_blocks()
    await events.count()

    while await events.remove(NOW, most=200):
        pass
    await events.count()

    assert await events.tallies() == []
    assert (await events.shown(EventFilters()))[0] == 0


async def test_removing_and_counting_at_once_leave_nothing_wrong(events: Events) -> None:
    """On PostgreSQL they are transactions side by side."""
    await events.set_blocks()

    for _ in range(8):
        await asyncio.gather(
            *(events.remove(NOW, most=150) for _ in range(2)),
            *(events.db.write(lambda tx: event_blocks.write_down(tx, now=LATER)) for _ in range(3)),
        )
    await events.count()

    counted = await events.shown(EventFilters())
    await events.db.write(lambda tx: tx.run("delete from event_block"))
    assert await events.shown(EventFilters()) == counted
