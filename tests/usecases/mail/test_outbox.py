"""A letter is kept with the fact it tells, sent once the server takes it, and then destroyed (docs/mail.md)."""

from collections.abc import AsyncIterator

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, Instant
from opentill.mail import Letter, rules, service
from opentill.mail.model import Deferred, Kind, Sent
from tests.fakes.mail_server import MailServer
from tests.usecases.mail.office import Office

pytestmark = pytest.mark.anyio


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    async with MailServer() as server:
        yield Office(database, server)


async def test_a_letter_is_sent_once_and_nothing_of_it_is_kept(office: Office) -> None:
    assert await office.post()
    (before,) = await office.rows()
    assert "ana@shop.example" not in str(dict(before))
    await office.send()
    await office.send()

    (taken,) = office.server.taken
    assert (taken.sender, taken.to) == ("till@shop.example", ["ana@shop.example"])
    assert taken.message["Subject"] == "A letter from OpenTill"
    assert taken.message["From"] == "Till of Ana <till@shop.example>"
    (row,) = await office.rows()
    assert (row["sealed"], row["due_at"], row["attempts"], row["ended_at"]) == (None, None, 1, office.clock.now())
    assert await office.states() == ["SENT"]


async def test_what_was_told_to_an_address_is_not_told_again(office: Office) -> None:
    assert await office.post("fact 1")
    assert not await office.post("fact 1", to="ANA@shop.example ")
    assert await office.post("fact 1", to="rui@shop.example")
    assert await office.post("fact 2")
    await office.send()
    assert not await office.post("fact 1")
    await office.send()
    assert len(office.server.to("ana@shop.example")) == 2
    assert len(office.server.taken) == 3


async def test_a_letter_of_another_version_keeps_no_other_waiting(office: Office) -> None:
    """Its worker may run beside this one."""
    await office.post("fact 1")
    await office.db.write(lambda tx: tx.run("update mail set kind = 'not-known-yet'"))
    await office.post("fact 2")

    await office.send()

    assert sorted(await office.states()) == ["QUEUED", "SENT"]


async def test_a_letter_and_its_fact_are_true_together(office: Office) -> None:
    def untold(tx: Tx) -> None:
        letter = Letter(Kind.TEST, "ana@shop.example", "a")
        assert service.post(tx, letter, ids=office.ids, keyring=office.keyring, now=office.clock.now())
        raise LookupError

    with pytest.raises(LookupError):
        await office.db.write(untold)
    assert await office.rows() == []


async def test_what_a_waiting_letter_tells_is_counted_until_it_goes_out(office: Office) -> None:
    later = Instant(office.clock.now() + HOUR)
    facts = {
        "merchant": "Loja",
        "page": "/x",
        "url": "https://shop.example/hook",
        "error": None,
        "event_type": "payment.completed",
        "day": office.clock.now(),
    }
    for count in (3, 1, 4):
        await office.post(kind=Kind.DELIVERY_DEAD, facts=facts, due_at=later, told=count)
    await office.send()
    assert office.server.taken == []
    office.clock.advance(HOUR)
    await office.send()
    assert "given up after every try on Jul 13, 2026: 8." in office.server.taken[0].text
    await office.post(kind=Kind.DELIVERY_DEAD, facts=facts, due_at=later, told=1)
    assert [row["told"] for row in await office.rows()] == [8]


async def test_a_server_that_is_away_is_tried_again_later_and_later_and_each_letter_comes_once(office: Office) -> None:
    await office.post("1")
    await office.post("2")
    await office.server.go_away()
    tried = 0
    for _ in range(12 * 60):
        await office.send()
        office.clock.advance(MINUTE)
        tried = max(row["attempts"] for row in await office.rows())
    assert 15 <= tried <= 30
    (first, _) = await office.rows()
    assert first["last_error"] == "connect: ConnectionRefusedError"
    await office.server.listen()
    for _ in range(31):
        await office.send()
        office.clock.advance(MINUTE)
    assert await office.states() == ["SENT", "SENT"]
    assert len(office.server.taken) == 2


async def test_a_letter_nobody_took_for_days_is_given_up(office: Office) -> None:
    await office.post()
    await office.server.go_away()
    for _ in range(2 * 24 * 3 + 2):
        await office.send()
        office.clock.advance(30 * MINUTE)
    (row,) = await office.rows()
    assert await office.states() == ["FAILED"]
    assert (row["last_error"], row["sealed"]) == ("connect: ConnectionRefusedError", None)


@pytest.mark.parametrize(
    ("happens", "state", "error"),
    [
        ({"connect": "421"}, "QUEUED", "connect: 421"),
        ({"hello": "close"}, "QUEUED", "greet: SMTPServerDisconnected"),
        ({"from": "550"}, "QUEUED", "from: 550"),
        ({"from": "close"}, "QUEUED", "envelope: SMTPServerDisconnected"),
        ({"to": "450"}, "QUEUED", "to: 450"),
        ({"to": "550"}, "FAILED", "to: 550"),
        ({"to": "close"}, "QUEUED", "envelope: SMTPServerDisconnected"),
        ({"data": "451"}, "QUEUED", "data: 451"),
        ({"data": "554"}, "QUEUED", "data: 554"),
        ({"letter": "452"}, "QUEUED", "letter: 452"),
        ({"letter": "552"}, "FAILED", "letter: 552"),
    ],
)
async def test_what_the_server_says_decides_what_becomes_of_a_letter(
    office: Office, happens: dict[str, str], state: str, error: str
) -> None:
    await office.post()
    office.server.script(happens, {})
    await office.send()
    (row,) = await office.rows()
    assert await office.states() == [state]
    assert (row["last_error"], row["doubts"]) == (error, 0)
    office.clock.advance(MINUTE)
    await office.send()
    assert len(office.server.taken) == (1 if state == "QUEUED" else 0)


async def test_one_that_is_refused_does_not_keep_the_others(office: Office) -> None:
    for once in "123":
        await office.post(once)
    office.server.script({"to": "550"})
    await office.send()
    assert await office.states() == ["FAILED"] * 3
    assert office.server.connections == 1


@pytest.mark.parametrize(("happens", "copies"), [("lost", 2), ("cut", 1)])
async def test_a_letter_in_doubt_is_offered_once_more_under_the_same_id(
    office: Office, happens: str, copies: int
) -> None:
    await office.post()
    office.server.script({"letter": happens}, {})
    await office.send()
    assert [row["doubts"] for row in await office.rows()] == [1]
    office.clock.advance(MINUTE)
    await office.send()
    assert await office.states() == ["SENT"]
    assert len(office.server.taken) == copies
    assert len({taken.message["Message-ID"] for taken in office.server.taken}) == 1


async def test_a_letter_twice_in_doubt_is_not_sent_a_third_time(office: Office) -> None:
    await office.post()
    office.server.script({"letter": "lost"})
    for _ in range(10):
        await office.send()
        office.clock.advance(HOUR)
    assert await office.states() == ["UNKNOWN"]
    assert len(office.server.taken) == 2


async def test_whoever_takes_a_letter_and_dies_leaves_it_to_the_next(office: Office) -> None:
    await office.post()
    taken = [await _claimed(office)]
    assert await _claimed(office) is None
    office.clock.advance(rules.LEASE)
    taken.append(await _claimed(office))
    late, mine = taken
    assert late is not None
    assert mine is not None
    await office.db.write(lambda tx: service.conclude(tx, late, Deferred("x"), now=office.clock.now()))
    assert await office.states() == ["SENDING"]
    await office.db.write(lambda tx: service.conclude(tx, mine, Sent(), now=office.clock.now()))
    assert await office.states() == ["SENT"]


async def _claimed(office: Office) -> service.Claimed | None:
    return await office.db.write(lambda tx: service.claim(tx, keyring=office.keyring, now=office.clock.now()))


@pytest.mark.parametrize(
    "address",
    [
        "ana@shop.example\r\nBcc: eve@evil.example",
        "ana@shop.example\nDATA",
        "ana",
        "@shop.example",
        "a b@shop.example",
        "<ana@shop.example>",
        "ana@shop.example, eve@evil.example",
        "ana@[127.0.0.1]",
        "aná@shop.example",
        f"{'a' * 250}@shop.example",
    ],
)
async def test_what_is_no_address_is_never_given_to_a_server(office: Office, address: str) -> None:
    await office.post(to=address)
    await office.send()
    assert await office.states() == ["FAILED"]
    assert office.server.connections == 0


async def test_without_a_server_nothing_piles_up(office: Office) -> None:
    for number in range(5):
        await office.post(str(number))
    now = office.clock.now()
    assert await office.db.write(lambda tx: service.leave_unsent(tx, now=now, most=3)) == 3
    assert await office.db.write(lambda tx: service.leave_unsent(tx, now=now, most=3)) == 2
    assert await office.states() == ["UNSENT"] * 5
    assert {row["sealed"] for row in await office.rows()} == {None}
    office.clock.advance(31 * DAY)
    before = Instant(office.clock.now() - 30 * DAY)
    assert await office.db.write(lambda tx: service.purge(tx, before=before, most=100)) == 5


async def test_a_letter_whose_seal_does_not_open_ends_and_the_next_is_sent(office: Office) -> None:
    await office.post("1")
    await office.db.write(lambda tx: tx.run("update mail set sealed = 'v1.k1.AAAA'"))
    await office.post("2")
    await office.send()
    assert await office.states() == ["FAILED", "SENT"]
