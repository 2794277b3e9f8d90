"""What one round trip to PostgreSQL carries (record 15), counted where it leaves: in what libpq sends."""

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from opentill.db import Database, Options, Tx, postgres
from opentill.db.database import Driver
from opentill.db.postgres.connection import Connection, connect
from opentill.db.postgres.lookups import Lookups
from opentill.db.postgres.session import Reader, Writer
from opentill.payments.pix.flow.hints import confirm_hint
from opentill.pix import store
from opentill.pix.model import State
from opentill.webhooks import queries, queue, rules
from tests.contract.api.house import open_house
from tests.contract.api.test_gateway_callbacks import Provider
from tests.usecases.pix.shop import Shop, open_shop
from tests.usecases.webhooks.engine import Bench

ANSWER_WANTED = re.compile(rb"\tF\t\d+\t(?:Sync|Query)\b")  # ends what is sent at once; the server answers all of it
OPTIONS = Options(writers=1, readers=1)


class Wire:
    """What all connections of a database send, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._seen = 0

    def connect(self, url: str, **settings: str) -> Connection:
        connection = connect(url, OPTIONS, **settings)
        connection.pgconn.trace(self._file)
        return connection

    def round_trips(self) -> int:
        """Return how many there were since this was asked last."""
        before, self._seen = self._seen, len(ANSWER_WANTED.findall(self._path.read_bytes()))
        return self._seen - before

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(tmp_path / "wire")
    yield wire
    wire.close()


@pytest.fixture
async def watched(postgres_url: str, wire: Wire) -> AsyncIterator[Database]:
    """A database with one connection to write and one to read, so that each statement is prepared once."""
    writing = partial(wire.connect, postgres_url)
    reading = partial(wire.connect, postgres_url, default_transaction_read_only="on")
    driver = Driver(
        dialect="postgres",
        writers=OPTIONS.writers,
        jobs_at_once_max=1,
        reads_at_once_max=postgres.READS_AT_ONCE_MAX,
        open_writer=lambda: Writer(writing),
        open_reader=lambda: Reader(reading),
        lookups=lambda: Lookups(reading),
    )
    async with Database(driver, OPTIONS) as database:
        yield database


async def pays(shop: Shop, wire: Wire) -> tuple[int, int]:
    """Have a payer pay; return the round trips of taking the notification and of booking what it speaks of."""
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge)
    wire.round_trips()
    await shop.rings()
    notified = wire.round_trips()
    [hint] = await shop.db.read(lambda tx: store.due_hints(tx, now=shop.clock.now(), limit=2))
    wire.round_trips()
    await confirm_hint(shop.tools, hint)
    booked = wire.round_trips()
    assert await shop.state(charge) is State.COMPLETED
    return notified, booked


async def test_a_receipt_a_bank_tells_of_is_booked_in_nine_round_trips(
    watched: Database, wire: Wire, tmp_path: Path
) -> None:
    async with open_shop(watched, tmp_path) as shop:
        await pays(shop, wire)  # what is asked for the first time is prepared
        await pays(shop, wire)
        assert await pays(shop, wire) == (3, 6)


async def test_a_unit_that_asks_nothing_opens_no_transaction(watched: Database, wire: Wire) -> None:
    def fails(tx: Tx) -> None:
        raise LookupError

    wire.round_trips()
    assert await watched.write(lambda tx: "nothing") == "nothing"
    with suppress(LookupError):
        await watched.write(fails)
    assert wire.round_trips() == 0


async def test_deliveries_are_claimed_in_four_round_trips_and_recorded_in_three(watched: Database, wire: Wire) -> None:
    bench = await Bench(watched).start()
    await bench.endpoint()
    for _ in range(3):  # what is asked for the first time is prepared
        await bench.happens(*[bench.event(object_id=f"payment-{number}") for number in range(4)])
        await bench.plan()
        waiting = await watched.read(queries.waiting)
        grants = rules.share_out(waiting, now=bench.clock.now(), free=64, room_of={}, room_default=64, after_merchant=0)
        wire.round_trips()
        jobs = await watched.write(
            lambda tx, grants=grants: queue.claim(tx, grants, worker="one", now=bench.clock.now())
        )
        claimed = wire.round_trips()
        results = [await bench.send(job) for job in jobs]
        await bench.complete(*results)
        recorded = wire.round_trips()
    assert (len(results), claimed, recorded) == (4, 4, 3)


async def test_a_charge_is_made_in_four_round_trips(watched: Database, wire: Wire, tmp_path: Path) -> None:
    async with open_shop(watched, tmp_path) as shop:
        await shop.charges("30.00")  # what is asked for the first time is prepared
        wire.round_trips()
        await shop.charges("30.00")
        assert wire.round_trips() == 4


async def test_a_callback_of_a_gateway_is_taken_in_six_round_trips(
    watched: Database, wire: Wire, tmp_path: Path
) -> None:
    async def tells(event: str) -> int:
        provider = await Provider(house, house.shop).opened()
        wire.round_trips()
        assert (await provider.tells(provider.paid(event, ref=event))).status == 200
        return wire.round_trips()

    house = await open_house(watched, tmp_path)
    await tells("pe_1")  # what is asked for the first time is prepared
    assert await tells("pe_2") == 6
    await house.close()
