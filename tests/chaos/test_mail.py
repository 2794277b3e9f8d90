"""The mail server is away, hangs, refuses, dies in the middle; senders are killed (R10, F15 of webhooks.md §16.3).

Nothing waits for it: deliveries go on. Each notice is sent once, later. Only a letter of which nobody can know whether
the server took it may come twice, under one Message-ID.
"""

import asyncio
import os
import signal
import sys
from collections import Counter

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import HOUR, MINUTE, SECOND, Instant, SystemClock
from opentill.kernel.failpoints import MAIL
from opentill.kernel.ids import SystemIds
from opentill.mail import Letter, post
from opentill.mail.model import Kind, MailState
from opentill.webhooks.model import Options
from opentill.workers.mail import Mailbag, send_due
from tests.chaos.webhooks.loops import delivered, eventually, working
from tests.chaos.webhooks.test_failpoints import died, start
from tests.fakes.mail_server import MailServer
from tests.fakes.receiver import Receiver
from tests.usecases.mail.office import LETTERS, server_at
from tests.usecases.webhooks.engine import Bench

pytestmark = [pytest.mark.anyio, pytest.mark.bar("R10")]

READERS = ("one@agency.example", "two@agency.example")
TROUBLES = [
    {"connect": "close"},
    {"connect": "hang"},
    {"connect": "421"},
    {"hello": "close"},
    {"from": "451"},
    {"to": "450"},
    {"to": "close"},
    {"data": "hang"},
    {"letter": "451"},
    {"letter": "cut"},
]
ENDS_S = 60.0


class TurnedClock:
    """The machine's clock, turned on by a test that does not want to wait."""

    def __init__(self) -> None:
        self.off = 0

    def now(self) -> Instant:
        return Instant(SystemClock().now() + self.off)


async def states(bench: Bench) -> Counter[str]:
    return Counter(MailState(row["state"]).name for row in await bench.rows("select state from mail"))


async def gone_endpoints(bench: Bench, receiver: Receiver, count: int) -> None:
    """Register endpoints that say they are gone; each is disabled by its first event, which is told at once."""
    for number in range(count):
        path = f"/gone-{number}"
        receiver.script(path, "status:410")
        await bench.endpoint(receiver.url(path), options=Options(notify=READERS))


@pytest.mark.checklist("F15")
async def test_f15_while_the_mail_server_is_in_trouble_deliveries_go_on_and_each_notice_comes_later_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentill.mail.smtp.TIMEOUT_S", 0.3)
    bench, clock = await Bench(database).start(), TurnedClock()
    async with Receiver() as receiver, MailServer() as server, working(bench, database):
        await bench.endpoint(receiver.url("/well"))
        await gone_endpoints(bench, receiver, 3)
        await bench.happens(bench.event(object_id="first"))
        await eventually(lambda: _is(bench, QUEUED=3 * len(READERS) * 2), within_s=20)

        server.script(*TROUBLES, {"connect": "hang"})
        bag = Mailbag(database, clock, bench.engine.keyring, server_at(server.port), LETTERS)
        sent = 1
        for round_number in range(2 * len(TROUBLES)):
            sending = asyncio.create_task(send_due(bag, asyncio.Event()))
            await bench.happens(bench.event(object_id=f"meanwhile-{round_number}"))
            sent += 1
            await delivered(bench, sent, within_s=10)
            await asyncio.wait_for(sending, ENDS_S)
            clock.off += 30 * SECOND
        assert server.taken == []
        assert (await states(bench))["SENT"] == 0

        server.script({})
        for _ in range(200):
            clock.off += 15 * MINUTE
            while await send_due(bag, asyncio.Event()):
                pass
        assert await states(bench) == {"SENT": 3 * len(READERS) * 2}
        told = Counter((taken.to[0], taken.message["Message-ID"]) for taken in server.taken)
        assert set(told.values()) == {1}
        assert Counter(to for to, _ in told) == dict.fromkeys(READERS, 6)


async def _is(bench: Bench, **wanted: int) -> bool:
    return await states(bench) == wanted


async def test_a_server_that_hangs_holds_up_nobody(database: Database) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver, MailServer() as server, working(bench, database):
        await bench.endpoint(receiver.url("/well"))
        await posted(bench, 1)
        server.script({"letter": "hang"}, {})
        bag = Mailbag(database, SystemClock(), bench.engine.keyring, server_at(server.port), LETTERS)
        sending = asyncio.create_task(send_due(bag, asyncio.Event()))
        await eventually(lambda: _has(server, "DATA"), within_s=10)
        for number in range(20):
            await bench.happens(bench.event(object_id=f"p-{number}"))
        await delivered(bench, 20, within_s=10)
        assert not sending.done()
        assert await states(bench) == {"SENDING": 1}
        await server.go_away()
        await asyncio.wait_for(sending, ENDS_S)
        assert await states(bench) == {"QUEUED": 1}


async def _has(server: MailServer, line: str) -> bool:
    return line in (said.upper() for said in server.lines)


async def posted(bench: Bench, count: int) -> None:
    """Post letters that are due now."""
    ids = SystemIds(SystemClock())

    def post_all(tx: Tx) -> None:
        for number in range(count):
            letter = Letter(Kind.TEST, "ana@shop.example", f"letter {number}")
            post(tx, letter, ids=ids, keyring=bench.engine.keyring, now=SystemClock().now())

    await bench.db.write(post_all)


async def sender(url: str, server: MailServer, *, ahead_s: int, dies: str = "") -> asyncio.subprocess.Process:
    environment = os.environ | ({"OPENTILL_FAILPOINT": dies} if dies else {})
    words = ("-W", "error", "-m", "tests.chaos.mailing", url, str(server.port), str(ahead_s))
    return await asyncio.create_subprocess_exec(sys.executable, *words, env=environment)


@pytest.mark.parametrize(("place", "copies"), [("mail.claimed", 1), ("mail.handed", 2)])
async def test_a_sender_that_is_killed_loses_no_letter_and_only_one_that_was_given_comes_again(
    database: Database, database_url: str, place: str, copies: int
) -> None:
    bench = await Bench(database).start()
    await posted(bench, 5)
    async with MailServer() as server:
        dying = await sender(database_url, server, ahead_s=0, dies=f"{place}:exit:3")
        assert await asyncio.wait_for(dying.wait(), ENDS_S) == -signal.SIGKILL
        assert await states(bench) == {"SENT": 2, "SENDING": 1, "QUEUED": 2}
        for ahead_s in (1, HOUR // SECOND):
            sound = await sender(database_url, server, ahead_s=ahead_s)
            assert await asyncio.wait_for(sound.wait(), ENDS_S) == 0
        assert await states(bench) == {"SENT": 5}
        came = Counter(taken.message["Message-ID"] for taken in server.taken)
        assert sorted(came.values()) == [1, 1, 1, 1, copies]


async def test_a_planner_that_is_killed_while_it_posts_letters_posts_each_once_in_the_end(
    database: Database, database_url: str
) -> None:
    bench = await Bench(database).start()
    async with Receiver() as receiver:
        await gone_endpoints(bench, receiver, 1)
        await bench.happens(bench.event(object_id="first"))
        await died(await start("worker", database_url, "dies", dies="mail.posted:exit:2"))
        assert await states(bench) == {}
        async with working(bench, database):
            await eventually(lambda: _is(bench, QUEUED=2 * len(READERS)), within_s=90)


def test_every_place_has_its_story() -> None:
    assert {"mail.posted", "mail.claimed", "mail.handed"} == MAIL
