"""Forgetting in time: what is over goes, what is unfinished stays, and a sealed trace remains (webhooks.md §9.3)."""

from typing import Any

import pytest

from opentill.db import IntegrityViolation, Tx
from opentill.events import Audience
from opentill.kernel.clock import DAY, HOUR, Instant
from opentill.webhooks import partitions, retention, service
from opentill.webhooks.model import Dialect
from opentill.webhooks.retention import Round, Terms
from opentill.webhooks.store.retention import delete_events
from tests.usecases.webhooks.engine import Bench, says

pytestmark = pytest.mark.anyio

TERMS = Terms()


async def purge(bench: Bench, kind: str, *, later: int = 0, cursor: int = 0, most: int = 200) -> Round:
    now = Instant(bench.clock.now() + later)

    def work(tx: Tx) -> Round:
        match kind:
            case "attempts":
                return retention.purge_attempts(tx, terms=TERMS, now=now, most=most)
            case "payloads":
                return retention.purge_payloads(tx, cursor, terms=TERMS, now=now, most=most)
            case _:
                keyring = bench.engine.keyring
                return retention.purge_events(
                    tx, cursor, terms=TERMS, keyring=keyring, now=now, tests=kind == "tests", most=most
                )

    return await bench.db.write(work)


async def counts(bench: Bench) -> dict[str, int]:
    tables = ("event", "webhook_delivery", "webhook_payload", "webhook_attempt", "event_checkpoint")
    return {name: (await bench.rows(f"select count(*) as n from {name}"))[0]["n"] for name in tables}


async def delivered(bench: Bench, count: int = 1) -> None:
    for _ in range(count):
        await bench.happens(bench.event())
    await bench.plan()
    while (await bench.rows("select count(*) as n from webhook_delivery where state = 0"))[0]["n"]:
        await bench.deliver()


async def test_nothing_goes_before_its_time(bench: Bench) -> None:
    await bench.endpoint()
    await delivered(bench, 3)
    before = await counts(bench)
    for kind in ("attempts", "payloads", "events", "tests"):
        await purge(bench, kind, later=29 * DAY)
    assert await counts(bench) == before


async def test_payload_bytes_go_after_thirty_days_and_are_rendered_again_when_asked_for(bench: Bench) -> None:
    await bench.endpoint()
    await delivered(bench)
    sent = bench.receiver.requests[0].body

    assert (await purge(bench, "payloads", later=30 * DAY + HOUR)).removed == 1

    await bench.db.write(
        lambda tx: tx.run("update webhook_delivery set state = 0, due_at = 0, attempts_max = 2, klass = 1")
    )
    await bench.deliver()
    assert [request.body for request in bench.receiver.requests] == [sent, sent]


async def test_an_event_goes_after_ninety_days_with_all_that_was_planned_for_it(bench: Bench) -> None:
    await bench.endpoint()
    await delivered(bench, 3)

    assert (await purge(bench, "events", later=90 * DAY + HOUR)).removed == 3

    left = await counts(bench)
    assert (left["event"], left["webhook_delivery"], left["webhook_payload"]) == (0, 0, 0)


async def test_what_is_due_keeps_its_event_however_old(bench: Bench) -> None:
    await bench.endpoint()
    bench.receiver.answers["https://shop.example/hook"] = lambda _: says(500)
    await bench.happens(bench.event())
    await bench.plan()
    await bench.deliver()

    assert (await purge(bench, "payloads", later=400 * DAY)).removed == 0
    assert (await purge(bench, "events", later=400 * DAY)).removed == 0
    assert (await counts(bench))["event"] == 1


async def test_what_is_sent_again_at_the_instant_of_its_removal_is_not_removed(bench: Bench) -> None:
    await bench.endpoint()
    await delivered(bench)
    await bench.db.write(lambda tx: tx.run("update webhook_delivery set state = 0, due_at = 0"))
    before = await counts(bench)
    (event,) = await bench.rows("select seq from event")
    with pytest.raises(IntegrityViolation):
        await bench.db.write(lambda tx: delete_events(tx, [event["seq"]]))
    assert await counts(bench) == before


async def test_what_is_held_can_be_recovered_for_ninety_days_and_is_cancelled_before_its_event_goes(
    bench: Bench,
) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.db.write(lambda tx: tx.run("update webhook_endpoint set state = 1 where id = :id", id=endpoint.id))
    await bench.happens(bench.event())
    await bench.plan()

    await purge(bench, "events", later=89 * DAY)
    assert [row["state"] for row in await bench.deliveries()] == [4]
    assert (await purge(bench, "events", later=91 * DAY)).removed == 0
    [held] = await bench.deliveries()
    assert (held["state"], held["reason"]) == (5, "retention over")
    assert (await purge(bench, "events", later=91 * DAY)).removed == 1


async def test_test_events_go_after_a_week_although_younger_than_others(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await delivered(bench, 2)
    engine = bench.engine
    job = await bench.db.write(
        lambda tx: service.claim_test(tx, endpoint=endpoint, worker="w", ids=engine.ids, now=engine.now(tx))
    )
    await bench.complete(await bench.send(job))

    assert (await purge(bench, "tests", later=8 * DAY)).removed == 1
    left = await bench.rows("select audience from event")
    assert [row["audience"] for row in left] == [Audience.BUSINESS, Audience.BUSINESS]


async def test_an_event_nobody_planned_is_kept(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event())
    assert (await purge(bench, "events", later=400 * DAY)).removed == 0


async def test_a_round_is_bounded_and_says_where_the_next_goes_on(bench: Bench) -> None:
    await bench.endpoint()
    await delivered(bench, 5)
    cursor, removed, rounds = 0, 0, 0
    while True:
        done = await purge(bench, "events", later=91 * DAY, cursor=cursor, most=2)
        removed, rounds = removed + done.removed, rounds + 1
        assert done.removed <= 2
        if done.cursor is None:
            break
        cursor = done.cursor
    assert (removed, rounds) == (5, 3)


@pytest.mark.bar("C10", part="checkpoints of retention")
async def test_each_purged_range_leaves_a_checkpoint_that_nobody_can_change_unseen(bench: Bench) -> None:
    keyring = bench.engine.keyring

    async def faults() -> list[str]:
        return await bench.db.read(lambda tx: list(retention.find_false_checkpoints(tx, keyring=keyring)))

    await bench.endpoint(dialect=Dialect.MERCHANT)
    await delivered(bench, 2)
    await purge(bench, "events", later=91 * DAY)
    await delivered(bench, 1)
    await purge(bench, "events", later=91 * DAY)

    one, two = await bench.rows("select * from event_checkpoint order by id")
    assert (one["first_seq"], one["last_seq"], one["events"]) == (1, 2, 2)
    assert (two["first_seq"], two["last_seq"], two["events"]) == (3, 3, 1)
    assert await faults() == []
    for column, value in _changes(one):
        await bench.db.write(
            lambda tx, column=column, value=value: tx.run(
                f"update event_checkpoint set {column} = :value where id = 1", value=value
            )
        )
        assert await faults() == ["the checkpoint of purged events 1 to 2 is not sealed by us"] or column.endswith(
            "seq"
        )
        assert len(await faults()) == 1
        await bench.db.write(
            lambda tx, column=column: tx.run(
                f"update event_checkpoint set {column} = :value where id = 1", value=one[column]
            )
        )
    assert await faults() == []


def _changes(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return [("first_seq", 0), ("last_seq", 9), ("events", 7), ("chain", "0" * 64), ("seal", row["chain"])]


async def test_attempts_go_after_thirty_days(bench: Bench) -> None:
    await bench.endpoint()
    await delivered(bench, 3)
    removed = await purge(bench, "attempts", later=31 * DAY)
    if bench.db.dialect == "sqlite":
        assert removed.removed == 3
        assert await bench.attempts() == []
    else:  # whole days are dropped outside any transaction, see test_partitions
        assert removed == retention.OVER


async def test_the_day_that_is_kept_is_named(bench: Bench) -> None:
    now = Instant(100 * DAY + HOUR)
    assert partitions.first_kept(now, days=30) == "webhook_attempt_19700312"
