"""What the engine asks the database often costs as much as there is to do, however much lies there finished."""

from collections.abc import Mapping
from typing import Any

import pytest

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.payments.inbound import queries as inbound
from opentill.webhooks import queries
from opentill.webhooks.model import DeliveryState
from opentill.webhooks.queries import merchant_log
from opentill.webhooks.queries.merchant_log import Beside, LogFilters
from opentill.webhooks.queries.standing import delivery_counts
from opentill.webhooks.store import deliveries, feeds, outbox
from tests.usecases.webhooks.engine import Bench, Counted

pytestmark = pytest.mark.anyio


class Explained(Counted):
    """A transaction that explains statements and keeps the plans."""

    def __init__(self, tx: Any) -> None:
        super().__init__(tx)
        self.plans: list[str] = []

    def all(self, sql: str, /, **params: object) -> Any:
        self._explain(sql, params)
        return super().all(sql, **params)

    def _explain(self, sql: str, params: Mapping[str, object]) -> None:
        verb = "explain" if self.dialect == "postgres" else "explain query plan"
        rows = self._tx.all(f"{verb} {sql}", **params)
        self.plans.append("\n".join(str(list(dict(row).values())[-1]) for row in rows))


async def filled(bench: Bench) -> None:
    """Store a history: many finished deliveries, a few due."""
    endpoint, _ = await bench.endpoint()
    await bench.happens(*[bench.event(object_id=f"p-{n}") for n in range(10)])
    await bench.plan()
    await bench.db.write(
        lambda tx: tx.run(
            """
            insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, origin,
                                          state, created_at)
            with recursive n (i) as (select 1 union all select i + 1 from n where i < 5000)
            select 'dlv_done' || cast(i as text), 1, :endpoint_id, 'payment.completed', 'pix/1', 'x', 2, 2, 0 from n
            """,
            endpoint_id=endpoint.id,
        )
    )
    if bench.db.dialect == "postgres":
        await bench.db.write(lambda tx: tx.run("analyze webhook_delivery, event"))


class Asked(Explained):
    """The same of single rows, and of changes, which are not made."""

    def run(self, sql: str, /, **params: object) -> int:
        self._explain(sql, params)
        return 0

    def one_or_none(self, sql: str, /, **params: object) -> Any:
        self._explain(sql, params)
        return super().one_or_none(sql, **params)


async def plans_of(bench: Bench, ask: Any, *, in_: Any = None) -> str:
    def explained(tx: ReadTx) -> str:
        wrapped = Asked(tx)
        if tx.dialect == "postgres":
            # So few rows would be read whole whatever the indexes; what matters is that they can be used.
            for reading in ("enable_seqscan", "enable_bitmapscan"):
                tx.all("select set_config(:name, 'off', true)", name=reading)
        ask(wrapped)
        return "\n".join(wrapped.plans)

    return str(await (in_ or bench.db.read)(explained))


async def test_lanes_with_work_are_found_by_skipping_through_the_due_rows(bench: Bench) -> None:
    await filled(bench)
    plan = await plans_of(bench, queries.waiting)
    assert "wd_due" in plan
    assert "wd_list" not in plan
    assert "SCAN webhook_delivery" not in plan.replace("SCAN webhook_delivery USING COVERING INDEX wd_due", "")
    assert "Seq Scan on webhook_delivery" not in plan


async def test_events_to_plan_are_found_without_reading_planned_ones(bench: Bench) -> None:
    await filled(bench)
    plan = await plans_of(bench, lambda tx: outbox.unplanned(tx, 200))
    assert "event_to_plan" in plan
    assert "Seq Scan" not in plan


async def test_events_that_nobody_hears_are_marked_without_reading_others(bench: Bench) -> None:
    await filled(bench)
    plan = await plans_of(bench, lambda tx: outbox.pass_over(tx, 200), in_=bench.db.write)
    assert ("Index Scan using event_to_plan" if bench.db.dialect == "postgres" else "USING INDEX event_to_plan") in plan
    # What is picked is looked up by number, not held against every event there is to plan.
    by_number = "Index Cond: (seq = ANY" if bench.db.dialect == "postgres" else "SEARCH event USING INTEGER PRIMARY KEY"
    assert by_number in plan
    assert "Seq Scan on event" not in plan
    assert "SCAN event\n" not in plan


@pytest.mark.parametrize("filters", [{}, {"before": 4000}, {"states": [DeliveryState.DEAD]}])
async def test_a_list_of_deliveries_is_read_from_the_end_of_each_endpoints_index(
    bench: Bench, filters: dict[str, Any]
) -> None:
    await filled(bench)
    plan = await plans_of(bench, lambda tx: queries.deliveries(tx, owner=bench.owner, limit=25, **filters))
    # PostgreSQL chooses by its statistics, and here all rows are one endpoint's.
    assert "wd_list" in plan or bench.db.dialect == "postgres"
    assert "Seq Scan on webhook_delivery" not in plan
    assert "SCAN i" not in plan
    assert "SCAN d" not in plan
    assert "SCAN p" not in plan


@pytest.mark.parametrize("filters", [LogFilters(), LogFilters(statuses=("failed",))])
async def test_the_merchant_apis_deliveries_are_read_from_the_end_of_each_endpoints_index(
    bench: Bench, filters: LogFilters
) -> None:
    await filled(bench)
    beside = Beside(*inbound.ids(bench.owner))
    plan = await plans_of(
        bench, lambda tx: merchant_log.ids(tx, filters, owner=bench.owner, limit=25, beside=beside, offset=50)
    )
    assert "wd_list" in plan or bench.db.dialect == "postgres"
    assert "gateway_callback_list" in plan
    assert "Seq Scan on webhook_delivery" not in plan
    assert "SCAN i" not in plan
    assert "SCAN p" not in plan


async def test_the_merchant_apis_deliveries_are_counted_in_an_index(bench: Bench) -> None:
    await filled(bench)
    plan = await plans_of(bench, lambda tx: merchant_log.count(tx, LogFilters(), owner=bench.owner))
    assert ("Index Only Scan using wd_list" if bench.db.dialect == "postgres" else "COVERING INDEX wd_list") in plan
    assert "event" not in plan


@pytest.mark.parametrize(
    ("word", "indexes"),
    [("pending", {"wd_sending", "wd_due"}), ("failed", {"wd_unhappy", "wd_due"}), ("skipped", {"wd_unhappy"})],
)
async def test_deliveries_that_are_rare_are_counted_where_they_alone_are(
    bench: Bench, word: str, indexes: set[str]
) -> None:
    await filled(bench)
    counted = {}

    def count(tx: ReadTx) -> None:
        counted["n"] = merchant_log.count(tx, LogFilters(statuses=(word, word)), owner=bench.owner)

    plan = await plans_of(bench, count)
    if bench.db.dialect == "sqlite":  # PostgreSQL has other indexes of as few rows to choose from
        assert {name for name in indexes if name in plan} == indexes
    assert "wd_list" not in plan or word == "skipped"  # of which the cancelled ones have no index of their own
    listed = await bench.db.read(
        lambda tx: merchant_log.ids(tx, LogFilters(statuses=(word,)), owner=bench.owner, limit=100)
    )
    assert counted["n"] == len(listed) == (10 if word == "pending" else 0)


async def test_a_page_far_behind_is_skipped_to_in_the_index_alone(bench: Bench) -> None:
    await filled(bench)
    ids = [row["id"] for row in await bench.rows("select id from webhook_delivery order by id desc")]
    found: dict[str, list[int]] = {}

    def page(tx: ReadTx) -> None:
        found["rows"] = [row.id for row in queries.deliveries(tx, owner=bench.owner, limit=25, offset=4_000)]
        found["ids"] = merchant_log.ids(tx, LogFilters(), owner=bench.owner, limit=25, offset=4_000)

    plan = await plans_of(bench, page)
    assert found["rows"] == found["ids"] == ids[4_000:4_025]
    assert "COVERING INDEX wd_list" in plan or bench.db.dialect == "postgres"
    assert "Seq Scan on webhook_delivery" not in plan


async def test_deliveries_about_an_object_are_found_by_its_events(bench: Bench) -> None:
    await filled(bench)
    plan = await plans_of(bench, lambda tx: queries.deliveries(tx, owner=bench.owner, limit=25, object_id="p-3"))
    assert "event_object" in plan
    assert "Seq Scan on event" not in plan
    found = await bench.db.read(lambda tx: queries.deliveries(tx, owner=bench.owner, limit=25, object_id="p-3"))
    assert [row.object_id for row in found] == ["p-3"]


@pytest.mark.parametrize(
    ("changes", "index"),
    [
        (lambda tx: deliveries.cancel(tx, 1, now=Instant(1), most=500), "wd_unhappy"),
        (lambda tx: deliveries.set_aside(tx, 1, most=500), "wd_due"),
        (lambda tx: feeds.acknowledge(tx, 1, up_to=10, now=Instant(1)), "wd_unread"),
        (lambda tx: feeds.has_more(tx, 1, after=10), "wd_due"),
        (delivery_counts, "wd_unhappy"),
    ],
)
async def test_what_waits_for_one_endpoint_is_found_without_reading_what_is_over(
    bench: Bench, changes: Any, index: str
) -> None:
    await filled(bench)
    plan = await plans_of(bench, changes)
    assert index in plan or bench.db.dialect == "postgres"  # which goes by statistics, and the table is small
    assert "wd_list" not in plan
    assert "Seq Scan on webhook_delivery" not in plan
