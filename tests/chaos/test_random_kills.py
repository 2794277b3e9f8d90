"""Processes are killed at random under load; whatever was acknowledged is there, once, and everybody was told."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import HOUR, Instant, SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks import service as webhooks
from opentill.webhooks.catalogue import PIX_EVENTS
from opentill.webhooks.model import BOUNDS, Dialect, Options
from opentill.webhooks.queries import orphans
from tests.bars import size_name
from tests.chaos.clients import Client, Order
from tests.chaos.load import Load
from tests.chaos.receiving import Line, Receiving, receiving
from tests.chaos.servers import Install, Process, start
from tests.property.reckoning import Books, faults

RATES: Final = {True: 100.0, False: 300.0}  # payments a second: SQLite in one process, PostgreSQL
# In the ordinary suite nobody waits a minute for the leases of the dead.
SHORT_LEASES: Final = {
    "OPENTILL_WEBHOOKS_TIMEOUT_DEFAULT_S": "1",
    "OPENTILL_WEBHOOKS_TIMEOUT_MAX_S": "1",
    "OPENTILL_WEBHOOKS_LEASE_S": "21",
    "OPENTILL_WEBHOOKS_HEARTBEAT_S": "5",
}
QUICK_SHARE: Final = 0.2  # of the rate
BETWEEN_KILLS_S: Final = (0.2, 1.8)
DRAIN_S_MAX: Final = 200.0  # leases of 60 s, retries after 60 s, and the bank's own repeats
LOOK_S: Final = 0.5
REPLAYED: Final = 200  # keys that are asked once more at the end
CONNECTIONS: Final = 48
MERCHANT_PATH: Final = "/merchant"
PIX_PATH: Final = "/pix"

BOOKED: Final = "select count(*) as n from receipt"
PLAIN_PAYMENTS: Final = """
select uuid as id from payment p where not exists (select 1 from pix_charge c where c.payment_id = p.id)
"""
NOT_PLANNED: Final = "select count(*) as n from event where plan_state <> 1"
NOT_DELIVERED: Final = "select count(*) as n from webhook_delivery where state <> 2"
WITHOUT_NEXT_STEP: Final = """
select (select count(*) from pix_charge where state in ('creating', 'active', 'paying') and next_check_at is null)
     + (select count(*) from gateway_session where state = 'unknown' and next_check_at is null)
     + (select count(*) from pix_hint where due_at is null
         and not exists (select 1 from receipt r where r.ref = pix_hint.ref)) as n
"""


@dataclass
class Killing:
    """What was killed, and how many deliveries each death left in doubt."""

    deaths: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0


@pytest.mark.checklist("F1", "X53")
@pytest.mark.bar("R2", gate=20, target=100, quick=2)
async def test_nothing_acknowledged_is_lost_whoever_is_killed(
    till: Install, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    rate = RATES[till.embedded]
    if size_name() == "quick":
        till.chosen |= SHORT_LEASES
        rate *= QUICK_SHARE
    shop, chance = till.add_shop(), Random(bar_seed)
    webs = [till.web()]
    processes = webs if till.embedded else [*webs, till.worker()]
    with receiving(tmp_path) as receiver:
        async with till.open_database() as database, Client(shop, webs, connections_max=CONNECTIONS) as client:
            await start(*processes)
            await register(till, database, client, receiver)
            load, stop = Load(client, rate, chance), asyncio.Event()
            began, offering = time.monotonic(), asyncio.create_task(load.run(stop))

            killing = await kill_at_random(database, processes, bar_size, chance)
            lasted_s = time.monotonic() - began
            stop.set()
            await offering
            answered_s = time.monotonic() - began
            await drained(till, database)
            drained_s = time.monotonic() - began

            assert load.refused == []
            await assert_answers_are_replayed(load, chance)
            await assert_stored_is_acknowledged(till, database, load)
            told = await assert_everybody_was_told(database, receiver.lines(), killing)
            await assert_nothing_is_left(database)
    till.stop()
    assert till.verify()["faults"] == []
    acknowledged = len(load.acknowledged)
    bar_note(
        f"{acknowledged} acknowledged, offered for {lasted_s:.0f} s, all answered after {answered_s:.0f} s, "
        f"all delivered after {drained_s:.0f} s; deaths: {dict(killing.deaths)}; {told}"
    )


async def register(till: Install, database: Database, client: Client, receiver: Receiving) -> None:
    """Have the receiver told of everything: in the merchant's dialect, and by the PIX API in its own."""
    now, keyring, ids = SystemClock().now(), till.keyring, SystemIds()

    def make(tx: Tx) -> None:
        merchant = tx.all("select id from merchant")[0]
        webhooks.create_endpoint(
            tx,
            bounds=BOUNDS,
            owner=Owner(merchant["id"], Mode.SANDBOX),
            dialect=Dialect.MERCHANT,
            url=receiver.url(MERCHANT_PATH),
            options=Options(max_in_flight=50),
            ids=ids,
            keyring=keyring,
            now=now,
        )

    await database.write(make)
    fields = {"url": receiver.url(PIX_PATH), "allow_insecure": True}
    made = await client.insist(Order("/api/external/webhooks", fields, "register"))
    assert made.status == 201, made.body


async def kill_at_random(database: Database, processes: list[Process], count: int, chance: Random) -> Killing:
    """Kill and restart one process after the other, while the others go on."""
    killing = Killing()
    for _ in range(count):
        await asyncio.sleep(chance.uniform(*BETWEEN_KILLS_S))
        victim = chance.choice(processes)
        pid = victim.kill()
        killing.deaths[victim.name.partition("-")[0]] += 1
        killing.in_flight += await in_flight_of(database, pid)
        await start(victim)
    return killing


async def in_flight_of(database: Database, pid: int) -> int:
    """Count the deliveries a process had claimed and not reported when it died."""
    return await count(
        database,
        "select count(*) as n from webhook_delivery where state = 1 and lease_owner like :owner",
        owner=f"%:{pid}:%",
    )


async def drained(till: Install, database: Database) -> None:
    """Return when every event is planned and delivered, and what was paid at the bank has arrived."""

    async def left() -> dict[str, int]:
        return {
            "events to plan": await count(database, NOT_PLANNED),
            "deliveries to make": await count(database, NOT_DELIVERED),
            "receipts to book": len(paid_at_the_bank(till))
            - await count(database, "select count(*) as n from receipt"),
        }

    limit = time.monotonic() + DRAIN_S_MAX
    while any((waiting := await left()).values()):
        assert time.monotonic() < limit, f"after {DRAIN_S_MAX:.0f} s there are still {waiting}"
        await asyncio.sleep(LOOK_S)


async def assert_answers_are_replayed(load: Load, chance: Random) -> None:
    """Whoever asks again under a key gets the bytes that were acknowledged."""
    settled = list(load.acknowledged.values())
    for order, answer in chance.sample(settled, min(REPLAYED, len(settled))):
        again = await load.client.insist(order)
        assert (again.body, again.replayed) == (answer.body, True), order


async def assert_stored_is_acknowledged(till: Install, database: Database, load: Load) -> None:
    """Every acknowledged payment is stored, and nothing else is: no key was carried out twice."""
    payments = (
        "select uuid as id from payment p where not exists (select 1 from pix_charge c where c.payment_id = p.id)"
    )
    stored = [row["id"] for row in await rows(database, payments)]
    stored += [row["id"] for row in await rows(database, "select id from pix_charge")]

    assert Counter(stored) == Counter(load.acknowledged_ids())
    assert len(load.acknowledged_ids()) == len(load.acknowledged)
    truth = paid_at_the_bank(till)
    assert await database.read(lambda tx: [*faults(Books(tx), truth, settled=False, returned={})]) == []


async def assert_everybody_was_told(database: Database, lines: list[Line], killing: Killing) -> str:
    """Each committed event came at each address, with the same bytes; twice only what was in flight at a death."""
    events = await rows(database, "select id, merchant_type, pix_type from event")
    expected = {(MERCHANT_PATH, event["id"]) for event in events if event["merchant_type"]}
    expected |= {(PIX_PATH, event["id"]) for event in events if event["pix_type"] in PIX_EVENTS}

    received = Counter((line.path, line.event_id) for line in lines)
    assert received.keys() == expected
    assert len({(line.path, line.event_id, line.digest) for line in lines}) == len(expected)
    twice = received.total() - len(received)
    assert twice <= killing.in_flight
    return (
        f"{len(events)} events, {len(expected)} deliveries, {twice} twice of {killing.in_flight} in flight at a death"
    )


async def assert_nothing_is_left(database: Database) -> None:
    """There are no orphans, even to an eye an hour from now, and nothing waits without a next step."""
    in_an_hour = Instant(SystemClock().now() + HOUR)
    found = await database.read(lambda tx: orphans(tx, now=in_an_hour))

    assert found.total == 0, found
    assert await count(database, WITHOUT_NEXT_STEP) == 0


def paid_at_the_bank(till: Install) -> dict[tuple[str, str, str], int]:
    """Return what the bank's own books say was paid, in units."""
    with closing(sqlite3.connect(till.data / "sandbox-bank.db", timeout=10)) as books:
        found = books.execute("select account_id, e2e_id, amount from receipt").fetchall()
    return {("pix", str(account_id), e2e_id): 100 * centavos for account_id, e2e_id, centavos in found}


async def rows(database: Database, sql: str, **params: object) -> list[dict[str, Any]]:
    return await database.read(lambda tx: [dict(row) for row in tx.all(sql, **params)])


async def count(database: Database, sql: str, **params: object) -> int:
    return int((await rows(database, sql, **params))[0]["n"])
