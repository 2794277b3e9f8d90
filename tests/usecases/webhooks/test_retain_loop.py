"""The loop that forgets: it takes everything that is over, pauses between two transactions, and drops whole days."""

from pathlib import Path

import psycopg
import pytest

from opentill.kernel.clock import DAY
from opentill.outbound import Outbound
from opentill.pix.providers.no_payouts import NoPayouts
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from opentill.webhooks import partitions
from opentill.workers import watch
from opentill.workers.retain import PAUSE_MIN_S, retain
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio


def dependencies(bench: Bench, database_url: str, folder: Path) -> Dependencies:
    settings = Settings(data=folder, database_url=database_url).completed()
    engine = bench.engine
    return Dependencies(
        settings=settings,
        db=bench.db,
        clock=bench.clock,
        ids=engine.ids,
        keyring=engine.keyring,
        outbound=Outbound(),
        gateways={},
        receiver=lambda _account: (_ for _ in ()).throw(AssertionError("no bank here")),
        payer=lambda _account: NoPayouts(),
        sandbox_bank=None,  # type: ignore[arg-type]
    )


async def test_a_pass_takes_all_that_is_over_and_gives_others_time(
    bench: Bench, database_url: str, tmp_path: Path
) -> None:
    given = dependencies(bench, database_url, tmp_path)
    await bench.endpoint()
    for _ in range(3):
        await bench.happens(bench.event())
    await bench.plan()
    while await bench.rows("select 1 from webhook_delivery where state = 0"):
        await bench.deliver()
    bench.clock.advance(91 * DAY)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    removed = await retain(given, pause=pause)

    assert removed["events"] == 3
    assert removed["attempts"] == (3 if bench.db.dialect == "sqlite" else 0)
    assert all(seconds >= PAUSE_MIN_S for seconds in pauses)
    assert (await retain(given, pause=pause))["events"] == 0
    await given.outbound.close()


async def test_days_of_the_attempt_log_that_are_over_are_dropped_and_kept_ones_are_not(
    emptied_after_tests: str, postgres_url: str
) -> None:
    from opentill.db.postgres.days import drop_days

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for day in ("20200101", "20200102", "20200103"):
            begins = 1_577_836_800_000_000 + (int(day) - 20200101) * DAY
            connection.execute(
                f"create table webhook_attempt_{day} partition of webhook_attempt "
                f"for values from ({begins}) to ({begins + DAY})"
            )
        # Whoever detached this one died before dropping it.
        connection.execute("alter table webhook_attempt detach partition webhook_attempt_20200101")
        dropped = await drop_days(postgres_url, partitions.TABLE, before="webhook_attempt_20200103")
        assert connection.execute("select to_regclass('webhook_attempt_20200101')").fetchone() == (None,)
        left = connection.execute(
            "select cast(inhrelid as regclass) from pg_inherits where inhparent = 'webhook_attempt'::regclass"
        ).fetchall()
    assert dropped == ["webhook_attempt_20200101", "webhook_attempt_20200102"]
    assert ("webhook_attempt_20200103",) in left


async def test_the_watch_writes_down_orphans_once_a_minute(bench: Bench, database_url: str, tmp_path: Path) -> None:
    given = dependencies(bench, database_url, tmp_path)
    await bench.endpoint()
    await bench.happens(bench.event())
    bench.clock.advance(2 * 60_000_000)
    await watch.look_once(given)
    [row] = await bench.rows("select seen_at, found from webhook_watch")
    assert row["seen_at"] == bench.clock.now()
    assert '"unplanned": 1' in row["found"]

    await bench.plan()
    bench.clock.advance(10_000_000)
    await watch.look_once(given)
    assert (await bench.rows("select seen_at from webhook_watch"))[0]["seen_at"] == row["seen_at"]
    bench.clock.advance(60_000_000)
    await watch.look_once(given)
    [row] = await bench.rows("select found from webhook_watch")
    assert '"unplanned": 0' in row["found"]
    await given.outbound.close()
