"""Narrowed lists show and count the same from blocks that were counted as without them, whatever changes meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from opentill.db import Database, ReadTx, Tx, open_database
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, Instant
from opentill.kernel.owner import Owner
from opentill.payments import anchors, figures, queries, tallies
from opentill.payments.model import Payment
from opentill.payments.queries import EVERYTHING, Filters
from tests.make import NOW, Scene
from tests.usecases.payments.many import insert_payments

pytestmark = pytest.mark.anyio

SINCE = Instant(NOW - 3 * DAY)
LATER = Instant(NOW + 5 * MINUTE)
MIDDLE = Instant(SINCE + 2_500 * 6 * SECOND)
PLACES: list[tuple[int, int | None]] = [(offset, None) for offset in (0, 3, 95, 999, 2_500, 4_000, 6_000)]
CURSORS: list[tuple[int, int | None]] = [(0, before) for before in (6_201, 3_201, 2_001, 9)]
FILTERS = {
    "state": Filters(statuses=("completed",)),
    "rare": Filters(statuses=("failed",)),
    "nobody": Filters(statuses=("refunded",)),
    "several": Filters(statuses=("expired", "failed", "pending")),
    "disputed": Filters(statuses=("disputed",)),
    "gateway": Filters(gateway="pix"),
    "both": Filters(statuses=("completed", "disputed"), gateway="pix"),
    "from": Filters(since=MIDDLE),
    "until": Filters(before=MIDDLE),
    "span": Filters(statuses=("completed",), since=MIDDLE, before=Instant(MIDDLE + 2 * HOUR)),
}


class Lists:
    """A merchant with 5,500 payments of three days ago, of which the newest wait to be paid, and another with 700."""

    def __init__(self, database: Database, scene: Scene, owner: Owner) -> None:
        self.db, self.scene, self.owner = database, scene, owner

    async def write_down(self) -> int:
        counted = 0
        for now in (LATER, Instant(LATER + 5 * MINUTE)):
            while (await self.db.write(lambda tx: anchors.extend(tx, now=NOW)))[0]:
                pass
            while more := await self.db.write(lambda tx, now=now: tallies.write_down(tx, now=now)):
                counted += more
        return counted

    async def tallies(self) -> Sequence[str | None]:
        rows = await self.db.read(lambda tx: tx.all("select tally from payment_anchor order by merchant_id, ordinal"))
        return [row["tally"] for row in rows]

    async def shown(self, filters: Filters) -> tuple[int, list[list[int]]]:
        """Return how many there are, and pages near and far."""
        return await self.db.read(
            lambda tx: (
                queries.count(tx, filters, owner=self.owner, now=NOW),
                [
                    [payment.id for payment in self.page(tx, filters, offset, before)]
                    for offset, before in [*PLACES, *CURSORS]
                ],
            )
        )

    def page(self, tx: ReadTx, filters: Filters, offset: int, before: int | None) -> Sequence[Payment]:
        return queries.page(
            tx,
            filters,
            owner=self.owner,
            keyring=self.scene.keyring,
            now=NOW,
            limit=7,
            offset=offset,
            before=before,
        )

    async def exported(self, filters: Filters) -> list[int]:
        def read(tx: ReadTx) -> list[int]:
            found: list[int] = []
            before = None
            while more := queries.export(tx, filters=filters, owner=self.owner, now=NOW, before=before):
                found += [line.id for line in more]
                before = more[-1].id
            return found

        return await self.db.read(read)

    async def added_up(self, since: Instant) -> int:
        """Return how many payments the overview counts."""
        found = await self.db.read(lambda tx: figures.by_day(tx, owner=self.owner, since=since))
        return sum(figure.count for figure in found)

    async def change(self, id_: int, column: str, value: str) -> None:
        await self.db.write(lambda tx: _change(tx, id_, column, value))


def _change(tx: Tx, id_: int, column: str, value: str) -> None:
    tx.run(f"update payment set {column} = :value where id = :id", value=value, id=id_)


@pytest.fixture
async def lists(database: Database) -> Lists:
    return await filled(database)


@pytest.fixture
async def beside(postgres_url: str) -> AsyncIterator[Lists]:
    """Lists on PostgreSQL, where two can write at once."""
    async with open_database(postgres_url) as database:
        yield await filled(database)


async def filled(database: Database) -> Lists:
    scene = Scene()
    shop, other = await database.write(scene.merchant), await database.write(scene.merchant)

    def insert(tx: Tx) -> None:
        insert_payments(tx, shop.owner, first=1, last=2_500, since=SINCE, step=6 * SECOND)
        insert_payments(tx, other.owner, first=2_501, last=3_200, since=MIDDLE, step=SECOND)
        insert_payments(tx, shop.owner, first=3_201, last=6_200, since=MIDDLE, step=6 * SECOND)
        tx.run("update payment set status = 'failed', detail = 'failed' where detail = 'pending' and id <= 4500")
        tx.run("update payment set dispute_status = 'open' where detail = 'completed' and id in (17, 2222, 5555)")

    await database.write(insert)
    return Lists(database, scene, shop.owner)


@pytest.mark.parametrize("name", list(FILTERS))
async def test_lists_are_the_same_with_counted_blocks_as_without(lists: Lists, name: str) -> None:
    before = await lists.shown(FILTERS[name])
    counted = await lists.write_down()
    tallies_ = await lists.tallies()

    assert counted == 5
    assert [bool(tally) for tally in tallies_] == [True, True, True, False, False], (
        "the last ones hold pending payments"
    )
    assert sum(count for *_, count in json.loads(tallies_[0] or "")) == anchors.STEP
    assert await lists.shown(FILTERS[name]) == before


@pytest.mark.parametrize(
    ("column", "value"), [("detail", "refunded"), ("gateway", "card"), ("dispute_status", "under_review")]
)
async def test_a_change_of_a_payment_is_counted_at_once(lists: Lists, column: str, value: str) -> None:
    await lists.write_down()
    held = await lists.tallies()

    await lists.change(1_500, column, value)

    changed = await lists.tallies()
    filters = Filters(gateway="card") if column == "gateway" else Filters(statuses=("refunded", "disputed"))
    disputed = 0 if column == "gateway" else 3
    assert changed == [held[0], None, *held[2:]]
    assert (await lists.shown(filters))[0] == disputed + 1
    assert await lists.write_down() == 1
    assert (await lists.shown(filters))[0] == disputed + 1


async def test_what_does_not_move_a_payment_leaves_its_block(lists: Lists) -> None:
    await lists.write_down()
    held = await lists.tallies()

    await lists.change(1_500, "description", "Two teas")

    assert await lists.tallies() == held


async def test_blocks_of_the_last_day_are_left_alone(lists: Lists) -> None:
    while (await lists.db.write(lambda tx: anchors.extend(tx, now=NOW)))[0]:
        pass

    assert await lists.db.write(lambda tx: tallies.write_down(tx, now=Instant(SINCE + DAY))) == 0


async def test_a_block_is_left_alone_while_somebody_may_not_know_of_it(lists: Lists) -> None:
    """Workers that were away set and count blocks in a row; a change meanwhile may not have seen the one it is in."""
    while (await lists.db.write(lambda tx: anchors.extend(tx, now=NOW)))[0]:
        pass

    assert await lists.db.write(lambda tx: tallies.write_down(tx, now=Instant(LATER - 1))) == 0
    assert await lists.db.write(lambda tx: tallies.write_down(tx, now=LATER)) == 5


async def test_payments_that_appeared_late_are_counted_after_all(lists: Lists) -> None:
    """A clock stepped forward while they were made, so that a block was set before they could be seen."""
    while (await lists.db.write(lambda tx: anchors.extend(tx, now=NOW)))[0]:
        pass
    late = "update payment set merchant_id = :merchant_id where id in (2600, 2700)"  # between those of the third block
    await lists.db.write(lambda tx: tx.run(late, merchant_id=lists.owner.merchant_id))

    await lists.write_down()

    assert (await lists.shown(EVERYTHING))[0] == 5_502
    counted = await lists.shown(FILTERS["state"])
    await lists.db.write(lambda tx: tx.run("delete from payment_anchor"))
    assert await lists.shown(FILTERS["state"]) == counted


@pytest.mark.parametrize(
    ("first", "last", "step"), [(900, 1_100, -2 * DAY), (900, 1_100, 2 * DAY), (4_600, 4_800, -2 * DAY)]
)
async def test_times_out_of_order_hide_no_payment(lists: Lists, first: int, last: int, step: int) -> None:
    """A clock was two days behind or ahead for a while, also when a thousandth payment was made."""
    await lists.db.write(
        lambda tx: tx.run(
            "update payment set created_at = created_at + :step where id between :first and :last",
            step=step,
            first=first,
            last=last,
        )
    )

    async def told() -> tuple[object, ...]:
        shown = [await lists.shown(filters) for filters in FILTERS.values()]
        exported = [await lists.exported(filters) for filters in FILTERS.values()]
        return shown, exported, [await lists.added_up(since) for since in (SINCE, MIDDLE, Instant(NOW - DAY))]

    before = await told()

    await lists.write_down()

    assert await told() == before


async def test_changes_and_counting_at_once_leave_nothing_wrong(lists: Lists) -> None:
    """On PostgreSQL they are transactions side by side."""
    await lists.write_down()

    for turn in range(10):
        changes = [lists.change(100 + 200 * place + turn, "detail", "refunded") for place in range(12)]
        await asyncio.gather(
            *changes, *(lists.db.write(lambda tx: tallies.write_down(tx, now=LATER)) for _ in range(4))
        )
    await lists.write_down()

    assert (await lists.shown(Filters(statuses=("refunded",))))[0] == 120


async def test_a_change_that_did_not_see_its_block_is_counted(beside: Lists, postgres_url: str) -> None:
    """It began before the block was set, and ends after others were counted."""
    with psycopg.connect(postgres_url) as other:
        other.execute("update payment set detail = 'refunded' where id = 1500")
        while (await beside.db.write(lambda tx: anchors.extend(tx, now=NOW)))[0]:
            pass
        assert await beside.db.write(lambda tx: tallies.write_down(tx, now=NOW)) == 0

    await beside.write_down()

    assert (await beside.shown(Filters(statuses=("refunded",))))[0] == 1


async def test_a_change_that_waits_for_its_block_to_be_counted_forgets_it(beside: Lists, postgres_url: str) -> None:
    while (await beside.db.write(lambda tx: anchors.extend(tx, now=NOW)))[0]:
        pass
    with psycopg.connect(postgres_url) as other:
        other.execute("update payment set detail = 'refunded' where id = 1500")

        assert await beside.db.write(lambda tx: tallies.write_down(tx, now=LATER)) == 4, (
            "the one in between is passed by"
        )

    assert (await beside.shown(Filters(statuses=("refunded",))))[0] == 1
    await beside.write_down()
    assert (await beside.shown(Filters(statuses=("refunded",))))[0] == 1
