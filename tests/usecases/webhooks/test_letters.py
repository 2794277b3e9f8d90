"""Who is written to about failing endpoints, and what: N1 to N7 by mail (webhooks.md §5.6)."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from opentill.db import Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, Instant
from opentill.mail.model import Kind, Letter
from opentill.operators.store import people, setup
from opentill.webhooks.letters import of_ending
from opentill.webhooks.model import Options
from tests.usecases.webhooks.engine import Bench, says
from tests.usecases.webhooks.test_notices import attempts, failing

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(database: Any) -> Bench:
    return await Bench(database).start()


async def operator(bench: Bench, email: str, role: str, merchant_id: int | None = None, language: str = "pt-BR") -> int:
    def added(tx: Tx) -> int:
        now = bench.clock.now()
        made = setup.insert_operator(tx, email=email, name=email, password_hash="!", now=now)
        people.set_grant(tx, made, role, merchant_id=merchant_id, now=now)
        tx.run("update operator set language = :language where id = :id", language=language, id=made)
        return made

    return await bench.db.write(added)


async def letters(bench: Bench) -> list[dict[str, Any]]:
    """Return what waits to be sent: kind, address, facts."""
    rows = await bench.rows("select * from mail order by id")
    keyring = bench.engine.keyring
    return [{**row, **json.loads(keyring.open(row["sealed"], f"mail.sealed/{row['public_id']}"))} for row in rows]


def kinds(found: Sequence[dict[str, Any]], to: str) -> list[str]:
    return [letter["kind"] for letter in found if letter["to"] == to]


@pytest.mark.bar("U14")
async def test_the_third_failure_is_told_by_mail_with_all_that_is_known(bench: Bench) -> None:
    await operator(bench, "dev@shop.example", "developer", bench.owner.merchant_id)
    endpoint = await failing(bench)
    await attempts(bench, 2)
    bench.clock.advance(6 * MINUTE)
    await attempts(bench, 2, "q")
    await bench.plan()
    await bench.plan()

    (letter,) = await letters(bench)
    assert (letter["kind"], letter["to"], letter["language"]) == ("endpoint-failing", "dev@shop.example", "pt-BR")
    assert letter["merchant_id"] == bench.owner.merchant_id
    facts = letter["facts"]
    assert facts["url"] == endpoint.url
    assert facts["error"] == "The receiver answered 404."
    assert facts["waiting"] == 4
    assert facts["page"].endswith(f"/developers/endpoints/{endpoint.public_id}")


async def test_the_trouble_of_an_operational_endpoint_is_told_by_mail_alone(bench: Bench) -> None:
    await operator(bench, "dev@shop.example", "developer", bench.owner.merchant_id)
    gone, _ = await bench.endpoint(options=Options(schedule=()))
    silent, _ = await bench.operational(options=Options(schedule=(1,) * 20))
    other, _ = await bench.operational("https://other.example/ops")
    for url in (gone.url, silent.url):
        bench.receiver.answers[url] = lambda _: says(404)
    for n in range(4):
        await attempts(bench, 1, f"event-{n}")
        for _ in range(2):
            await bench.plan()
            await bench.claim_and_complete()
        bench.clock.advance(3 * MINUTE)
    await bench.plan()

    written = [one["facts"]["url"] for one in await letters(bench) if one["kind"] == "endpoint-failing"]
    assert silent.url in written
    heard = [request.body for request in bench.receiver.requests if request.url == other.url]
    assert heard
    assert not any(silent.public_id.encode() in (body or b"") for body in heard)


async def test_each_notice_of_a_failing_spell_is_one_letter_and_so_is_the_recovery(bench: Bench) -> None:
    await operator(bench, "dev@shop.example", "developer", bench.owner.merchant_id)
    endpoint = await failing(bench)
    for _ in range(4 * 24 + 2):
        await attempts(bench)
        bench.clock.advance(HOUR)
    bench.receiver.answers[endpoint.url] = lambda _: says(200)
    await attempts(bench)
    await bench.plan()
    found = await letters(bench)
    assert [letter["kind"] for letter in found if letter["kind"] != "delivery-dead"] == [
        "endpoint-failing", "endpoint-failing", "endpoint-failing", "endpoint-failing", "endpoint-recovered",
    ]  # fmt: skip
    last = found[3]["facts"]
    assert abs(last["disable_at"] - last["since"] - 5 * DAY) < MINUTE


async def test_notify_addresses_take_the_place_of_developers(bench: Bench) -> None:
    await operator(bench, "dev@shop.example", "developer", bench.owner.merchant_id)
    await operator(bench, "owner@till.example", "owner")
    told = Options(schedule=(), notify=("one@agency.example", "two@agency.example"))
    named, _ = await bench.endpoint("https://named.example/hook", options=told)
    plain, _ = await bench.endpoint("https://plain.example/hook", options=Options(schedule=()))
    for url in (named.url, plain.url):
        bench.receiver.answers[url] = lambda _: says(410)
    await attempts(bench)
    await bench.plan()
    found = await letters(bench)
    for address in ("one@agency.example", "two@agency.example", "dev@shop.example"):
        assert kinds(found, address) == ["endpoint-disabled", "delivery-dead"] or kinds(found, address) == [
            "delivery-dead",
            "endpoint-disabled",
        ]
    assert len(found) == 6


async def test_where_a_merchant_has_no_people_of_its_own_those_for_all_are_told(bench: Bench) -> None:
    await operator(bench, "owner@till.example", "owner")
    await operator(bench, "support@till.example", "support")
    await operator(bench, "dev@other.example", "developer", (await bench.new_merchant("Outra")).id)
    gone = await operator(bench, "gone@till.example", "owner")
    await bench.db.write(lambda tx: people.set_status(tx, gone, "disabled"))
    endpoint, _ = await bench.endpoint()
    bench.receiver.answers[endpoint.url] = lambda _: says(410)
    await attempts(bench)
    await bench.plan()
    assert {letter["to"] for letter in await letters(bench)} == {"owner@till.example"}


async def test_the_dead_of_a_day_are_one_letter_with_their_count_when_it_is_over(bench: Bench) -> None:
    bench.clock.advance(DAY - bench.clock.now() % DAY + HOUR)
    await operator(bench, "owner@till.example", "owner")
    endpoint, _ = await bench.endpoint(options=Options(schedule=()))
    bench.receiver.answers[endpoint.url] = lambda _: says(404)
    for name in "abc":
        await attempts(bench, 2, name)
        await bench.plan()
    tomorrow = Instant((bench.clock.now() // DAY + 1) * DAY)
    (letter,) = [letter for letter in await letters(bench) if letter["kind"] == "delivery-dead"]
    assert (letter["told"], letter["due_at"]) == (6, tomorrow)
    bench.clock.advance(DAY)
    await attempts(bench, 1, "d")
    await bench.plan()
    assert [one["told"] for one in await letters(bench) if one["kind"] == "delivery-dead"] == [6, 1]


async def test_held_events_that_are_over_within_a_week_are_told_of_in_time(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint(options=Options(notify=("dev@shop.example",)))
    await bench.sets_active(endpoint.id, active=False)
    await bench.happens(bench.event())
    happened = bench.clock.now()
    await bench.plan()

    async def due() -> list[Letter]:
        now = bench.clock.now()
        return await bench.db.read(lambda tx: list(of_ending(tx, now=now, event_days=90)))

    bench.clock.advance(83 * DAY)
    assert await due() == []
    bench.clock.advance(MINUTE)
    (letter,) = await due()
    assert (letter.kind, letter.to) == (Kind.HELD_ENDING, "dev@shop.example")
    assert letter.until_at == letter.facts["until"] == happened + 90 * DAY
    assert (letter.facts["waiting"], letter.facts["url"]) == (1, endpoint.url)
    assert letter.facts["page"].endswith(f"/developers/endpoints/{endpoint.public_id}")
    bench.clock.advance(MINUTE)
    assert [again.once for again in await due()] == [letter.once]
