"""A feed that nobody reads is noticed like an endpoint that fails, and never disabled (webhooks.md §11)."""

import json

import pytest

from opentill.kernel.clock import DAY, HOUR, MINUTE
from opentill.webhooks import service, unread
from opentill.webhooks.model import BOUNDS, Dialect, Endpoint, Options
from tests.usecases.webhooks.engine import Bench
from tests.usecases.webhooks.test_notices import names, notices

pytestmark = pytest.mark.anyio


async def feed(bench: Bench) -> Endpoint:
    engine = bench.engine
    opened = await bench.db.write(
        lambda tx: service.open_feed(
            tx,
            bounds=BOUNDS,
            owner=bench.owner,
            dialect=Dialect.MERCHANT,
            options=Options(),
            ids=engine.ids,
            keyring=engine.keyring,
            now=engine.clock.now(),
        )
    )
    return opened.endpoint


async def look(bench: Bench) -> int:
    """Look as the watch does, twice: what was told is not told again."""
    now = bench.clock.now()
    due = await bench.db.read(lambda tx: unread.are_to_tell(tx, now=now))
    told = await bench.db.write(lambda tx: unread.tell(tx, now=now, ids=bench.engine.ids))
    assert due == bool(told)
    assert await bench.db.write(lambda tx: unread.tell(tx, now=now, ids=bench.engine.ids)) == 0
    return told


async def read(bench: Bench, endpoint: Endpoint, *, after: int) -> int:
    now = bench.clock.now()
    page = await bench.db.write(lambda tx: service.read_feed(tx, endpoint, after=after, limit=10, now=now))
    return page.next


async def test_an_event_that_cannot_be_written_keeps_no_other_of_its_feed(bench: Bench) -> None:
    endpoint = await feed(bench)
    broken, sound = await bench.happens(bench.event(object_id="p-1"), bench.event(object_id="p-2"))
    await bench.plan()
    await bench.db.write(
        lambda tx: tx.run(
            "delete from webhook_payload where event_seq = (select seq from event where id = :id)", id=broken
        )
    )
    empty = json.dumps({}).encode()
    await bench.db.write(lambda tx: tx.run("update event set doc = :doc where id = :id", doc=empty, id=broken))
    page = await bench.db.write(lambda tx: service.read_feed(tx, endpoint, after=0, limit=10, now=bench.clock.now()))
    assert [job.claimed.event_id for _, job in page.items] == [sound]
    assert page.next == 2


async def test_a_feed_left_unread_is_told_after_a_day_and_three_and_once_it_is_read_again(bench: Bench) -> None:
    endpoint = await feed(bench)
    bench.clock.advance(5 * DAY)
    assert await look(bench) == 0, "nothing waits"

    await bench.happens(bench.event())
    await bench.plan()
    bench.clock.advance(DAY - MINUTE)
    assert await look(bench) == 0
    bench.clock.advance(MINUTE)
    assert await look(bench) == 1
    bench.clock.advance(2 * DAY)
    assert await look(bench) == 1
    bench.clock.advance(30 * DAY)
    assert await look(bench) == 0
    last = await read(bench, endpoint, after=0)
    assert await look(bench) == 1

    assert await names(bench) == ["N2", "N3", "N6"]
    first, _, again = await notices(bench)
    assert (first["type"], again["type"]) == ("endpoint.failing", "endpoint.recovered")
    assert "24 hours" in first["endpoint"]["last_error"]
    assert first["endpoint"]["disable_at"] is None
    (row,) = await bench.rows("select state from webhook_endpoint")
    assert row["state"] == 0

    await read(bench, endpoint, after=last)
    bench.clock.advance(4 * DAY)
    assert await look(bench) == 0, "everything was acknowledged"


async def test_a_feed_that_is_read_but_not_acknowledged_is_well(bench: Bench) -> None:
    endpoint = await feed(bench)
    await bench.happens(bench.event())
    await bench.plan()
    for _ in range(10):
        bench.clock.advance(12 * HOUR)
        await read(bench, endpoint, after=0)
        assert await look(bench) == 0
