"""/metrics and readiness: nobody reads them by accident, and they say what the database says (webhooks.md §14)."""

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from opentill.kernel.clock import MINUTE, SECOND
from opentill.web import health
from opentill.web.exposition import Exposition
from opentill.workers import store as worker_store
from opentill.workers import watch
from tests.contract.api.client import ask
from tests.usecases.webhooks.engine import Bench
from tests.usecases.webhooks.test_retain_loop import dependencies

pytestmark = pytest.mark.anyio
TOKEN = "a-long-token-of-the-operator"


@pytest.fixture
async def bench(database: object) -> Bench:
    return await Bench(database).start()  # type: ignore[arg-type]


async def numbers(exposition: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = (await exposition.text()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_nobody_reads_metrics_without_the_token(bench: Bench, database_url: str, tmp_path: Path) -> None:
    given = dependencies(bench, database_url, tmp_path)
    shut = Exposition(given)
    opened = Exposition(replace(given, settings=replace(given.settings, metrics_token=TOKEN)))

    assert (await ask(shut, "GET", "/metrics", headers={"authorization": "Bearer "})).status == 404
    assert (await ask(opened, "GET", "/metrics")).status == 404
    assert (await ask(opened, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}x"})).status == 404
    answer = await ask(opened, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"opentill_webhook_oldest_due_seconds" in answer.body
    assert (await ask(opened, "POST", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})).status == 405
    await given.outbound.close()


async def test_the_numbers_are_those_of_the_database(bench: Bench, database_url: str, tmp_path: Path) -> None:
    given = dependencies(bench, database_url, tmp_path)
    exposition = Exposition(given)
    await bench.endpoint()
    await bench.happens(bench.event(), bench.event())
    bench.clock.advance(10 * SECOND)
    found = await numbers(exposition)
    assert found["opentill_webhook_events_unplanned", ()] == 2

    await bench.plan()
    bench.clock.advance(90 * SECOND)
    await watch.look_once(given)
    found = await numbers(exposition)
    assert found["opentill_webhook_events_unplanned", ()] == 0
    assert found["opentill_webhook_oldest_due_seconds", (("klass", "first_try"),)] == 90
    assert found["opentill_webhook_deliveries", (("klass", "first_try"), ("state", "due"))] == 2
    assert found["opentill_webhook_endpoints", (("state", "active"),)] == 1
    assert found["opentill_webhook_lanes", (("breaker", "closed"),)] == 1
    orphans = {labels: value for (name, labels), value in found.items() if name == "opentill_webhook_orphans"}
    assert len(orphans) == 5
    assert set(orphans.values()) == {0}
    await given.outbound.close()


async def test_scrapes_within_seconds_share_a_look(bench: Bench, database_url: str, tmp_path: Path) -> None:
    given = dependencies(bench, database_url, tmp_path)
    exposition = Exposition(given)
    await exposition.text()
    await bench.happens(bench.event())
    assert (await numbers(exposition))["opentill_webhook_events_unplanned", ()] == 0
    bench.clock.advance(6 * SECOND)
    assert (await numbers(exposition))["opentill_webhook_events_unplanned", ()] == 1
    await given.outbound.close()


async def test_readiness_fails_when_the_oldest_delivery_is_late(
    bench: Bench, database_url: str, tmp_path: Path
) -> None:
    given = dependencies(bench, database_url, tmp_path)

    async def alive() -> None:
        now = bench.clock.now()
        await bench.db.write(lambda tx: worker_store.beat(tx, worker="w", now=now, forget=now))

    await bench.endpoint()
    await alive()
    assert (await health.ready(given))[0] == 200
    await bench.happens(bench.event())
    bench.clock.advance(31 * SECOND)
    await alive()
    assert b"have not been planned" in (await health.ready(given))[1]
    await bench.plan()
    assert (await health.ready(given))[0] == 200
    bench.clock.advance(5 * MINUTE + SECOND)
    await alive()
    status, body = await health.ready(given)
    assert status == 503
    assert b"overdue" in body
    await bench.deliver()
    assert (await health.ready(given))[0] == 200
    await given.outbound.close()


async def test_readiness_fails_while_something_is_orphaned(bench: Bench, database_url: str, tmp_path: Path) -> None:
    given = dependencies(bench, database_url, tmp_path)
    endpoint, _ = await bench.endpoint()
    now = bench.clock.now()
    await bench.db.write(lambda tx: worker_store.beat(tx, worker="w", now=now, forget=now))
    await bench.db.write(lambda tx: tx.run("delete from webhook_secret where endpoint_id = :id", id=endpoint.id))
    await watch.look_once(given)
    status, body = await health.ready(given)
    assert status == 503
    assert b"nobody looks after" in body
    await given.outbound.close()
