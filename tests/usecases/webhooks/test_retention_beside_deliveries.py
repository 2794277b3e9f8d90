"""F16: retention works while deliveries go out, with the backlog of an endpoint that was switched off for months."""

import asyncio
from pathlib import Path

import pytest

from opentill.kernel.clock import DAY, HOUR
from opentill.workers.deliver import deliver_loop
from opentill.workers.plan import plan_loop
from opentill.workers.retain import retain
from tests.usecases.webhooks.engine import Bench
from tests.usecases.webhooks.test_retain_loop import dependencies

pytestmark = pytest.mark.anyio

OLD, NEW, HELD = 300, 40, 20


@pytest.mark.checklist("F16")
@pytest.mark.bar("R7", part="F16")
async def test_retention_beside_deliveries_loses_nothing_unfinished(
    bench: Bench, database_url: str, tmp_path: Path
) -> None:
    given = dependencies(bench, database_url, tmp_path)
    off, _ = await bench.endpoint("https://off.example/hook")
    await bench.db.write(lambda tx: tx.run("update webhook_endpoint set state = 2 where id = :id", id=off.id))
    on, _ = await bench.endpoint("https://shop.example/hook")
    await bench.happens(*[bench.event(object_id=f"old-{n}") for n in range(OLD)])
    await bench.plan()
    await bench.plan()
    await bench.db.write(
        lambda tx: tx.run(
            "update webhook_delivery set state = 2, finished_at = created_at, attempts = 1 where endpoint_id = :id",
            id=on.id,
        )
    )
    bench.clock.advance(60 * DAY)
    await bench.happens(*[bench.event(object_id=f"held-{n}") for n in range(HELD)])
    await bench.plan()
    bench.clock.advance(31 * DAY - HOUR)  # the first are 91 days old, those that are held only 31

    stop = asyncio.Event()
    loops = [asyncio.create_task(loop(bench.engine, stop)) for loop in (plan_loop, deliver_loop)]
    retaining = asyncio.create_task(retain(given, pause=lambda _: asyncio.sleep(0.001)))
    new = await bench.happens(*[bench.event(object_id=f"new-{n}") for n in range(NEW)])
    removed = [await retaining, await retain(given, pause=lambda _: asyncio.sleep(0))]
    for _ in range(200):
        if set(new) <= set(bench.receiver.event_ids()):
            break
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*loops)

    assert sum(one["events"] for one in removed) == OLD
    assert set(new) <= set(bench.receiver.event_ids())
    held = await bench.rows(
        "select count(*) as n from webhook_delivery where endpoint_id = :id and state = 4", id=off.id
    )
    assert held[0]["n"] == HELD + NEW
    await given.outbound.close()
