"""The auditor names what nobody looks after, and nothing that only waits for workers to come back."""

import pytest

from opentill.db import Tx
from opentill.kernel.clock import DAY, HOUR
from opentill.webhooks.verification import find_faults
from tests.usecases.test_verification import without_guards
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio


class Told(Exception):  # noqa: N818 - what the auditor says of a change that is undone thereby
    """Ends a transaction that must not be kept."""


async def faults(bench: Bench) -> list[str]:
    return await bench.db.read(lambda tx: list(find_faults(tx, now=bench.clock.now())))


async def a_worker_lives(bench: Bench) -> None:
    now = bench.clock.now()
    await bench.db.write(
        lambda tx: tx.run(
            "insert into worker_heartbeat (worker, started_at, seen_at) values ('w', :now, :now)"
            " on conflict (worker) do update set seen_at = :now",
            now=now,
        )
    )


async def test_work_that_waits_and_work_that_is_done_are_no_faults(bench: Bench) -> None:
    await a_worker_lives(bench)
    await bench.endpoint()
    await bench.happens(bench.event(object_id="one"))
    await bench.plan()
    await bench.deliver()
    await bench.happens(bench.event(object_id="two"))
    assert await faults(bench) == []


async def test_what_workers_do_not_look_after_is_named(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event(object_id="one"))
    await bench.plan()
    await bench.claim()
    await bench.happens(bench.event(object_id="two"), bench.event(object_id="three"))
    await bench.plan()
    await bench.happens(bench.event(object_id="four"))
    bench.clock.advance(HOUR)
    assert await faults(bench) == []  # nobody is there to look after it

    await a_worker_lives(bench)
    assert await faults(bench) == [
        "events not planned within a minute: 1",
        "deliveries ten minutes overdue although nothing holds them back: 2",
        "deliveries held by workers whose leases have lapsed: 1",
    ]

    bench.clock.advance(DAY)
    assert len(await faults(bench)) == 3  # as when the workers were last alive


async def test_what_lost_its_parts_is_named_whether_workers_live_or_not(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.happens(bench.event())
    await bench.plan()

    def broken(tx: Tx) -> None:
        without_guards(tx)
        if tx.dialect == "sqlite":
            tx.run("pragma defer_foreign_keys = on")
        tx.run("delete from webhook_payload")
        tx.run("delete from event")
        tx.run("delete from webhook_secret where endpoint_id = :id", id=endpoint.id)
        raise Told(list(find_faults(tx, now=bench.clock.now())))

    with pytest.raises(Told) as told:
        await bench.db.write(broken)
    assert told.value.args[0] == [
        "unfinished deliveries with neither payload nor event: 1",
        "endpoints without a lane or a current secret: 1",
    ]
