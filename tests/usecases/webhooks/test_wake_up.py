"""One process records, another delivers: it hears of it at once, and finds out by itself if it does not."""

import asyncio
import time

import psycopg
import pytest

from opentill.db import open_database
from opentill.db.postgres.notify import listen_loop, notify_loop
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench
from tests.usecases.webhooks.test_loops import running

pytestmark = pytest.mark.anyio


async def test_a_process_that_records_wakes_one_that_delivers(postgres_url: str) -> None:
    stop, heard = asyncio.Event(), asyncio.Event()
    async with open_database(postgres_url) as recording:
        loops = [
            asyncio.create_task(notify_loop(recording, postgres_url, stop)),
            asyncio.create_task(listen_loop(postgres_url, heard.set, stop)),
        ]
        await asyncio.wait_for(heard.wait(), 5)  # once when it begins to listen
        await asyncio.sleep(0.2)
        heard.clear()
        bench = await Bench(recording).start()
        assert not heard.is_set()
        await bench.happens(bench.event())
        await asyncio.wait_for(heard.wait(), 5)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*loops), 5)


async def test_a_listener_whose_connection_is_cut_listens_again(postgres_url: str) -> None:
    stop, heard = asyncio.Event(), asyncio.Event()
    listening = asyncio.create_task(listen_loop(postgres_url, heard.set, stop))
    await asyncio.wait_for(heard.wait(), 5)
    heard.clear()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'opentill wake-up'"
        )
    await asyncio.wait_for(heard.wait(), 5)
    stop.set()
    await asyncio.wait_for(listening, 5)


async def test_without_any_notification_an_event_of_another_process_is_found_within_a_second(
    postgres_url: str,
) -> None:
    async with (
        open_database(postgres_url) as recording,
        open_database(postgres_url) as delivering,
        Receiver() as receiver,
    ):
        bench = await Bench(recording).start()
        await bench.endpoint(receiver.url("/hook"))
        async with running(bench, delivering):
            await asyncio.sleep(0.3)
            began = time.monotonic()
            await bench.happens(bench.event())
            await receiver.wait_for(1)
            assert time.monotonic() - began < 3  # a second, and what a busy machine adds
