"""Reads of one statement on the event loop: the same answers as a reader's thread gives, and its help in trouble."""

import asyncio
import threading

import pytest

from opentill.db import Database, DatabaseError, ReadTx, TooManyRows, Unavailable
from tests.contract.database.test_runner import names, opening


def balance(tx: ReadTx, name: str) -> int | None:
    row = tx.one_or_none("select balance from account where name = :name", name=name)
    return row["balance"] if row else None


async def test_a_lookup_finds_what_was_answered_and_nothing_else(bank: Database) -> None:
    await bank.write(opening("found", 7))
    assert await bank.lookup(lambda tx: balance(tx, "found")) == 7
    assert await bank.lookup(lambda tx: balance(tx, "absent")) is None
    await bank.write(opening("later", 8))
    assert await bank.lookup(lambda tx: balance(tx, "later")) == 8
    assert await bank.lookup(names) == ["found", "later"]


async def test_a_lookup_runs_on_the_event_loop(bank: Database) -> None:
    await bank.write(opening("found"))

    def where(tx: ReadTx) -> threading.Thread:
        names(tx)
        return threading.current_thread()

    assert await bank.lookup(where) is threading.current_thread()


async def test_many_lookups_at_once_get_their_own_answers(bank: Database) -> None:
    for number in range(40):
        await bank.write(opening(f"name-{number}", number))
    asked = [number % 45 for number in range(700)]
    found = await asyncio.gather(*(bank.lookup(lambda tx, n=n: balance(tx, f"name-{n}")) for n in asked))
    assert found == [number if number < 40 else None for number in asked]


async def test_a_lookup_of_two_statements_is_a_read_of_one_moment(bank: Database) -> None:
    await bank.write(opening("first"))

    def twice(tx: ReadTx) -> tuple[list[str], int | None, threading.Thread]:
        return names(tx), balance(tx, "first"), threading.current_thread()

    found = await bank.lookup(twice)
    assert found[:2] == (["first"], 0)
    assert found[2] is not threading.current_thread()


async def test_what_a_lookup_raises_reaches_its_caller(bank: Database) -> None:
    def refuse(tx: ReadTx) -> None:
        raise LookupError(names(tx))

    await bank.write(opening("one"))
    await bank.write(opening("two"))
    with pytest.raises(LookupError, match="one"):
        await bank.lookup(refuse)
    with pytest.raises(TooManyRows):
        await bank.lookup(lambda tx: tx.one_or_none("select name from account"))
    assert await bank.lookup(names) == ["one", "two"]


async def test_a_lookup_that_fails_says_why_and_the_next_one_works(bank: Database) -> None:
    for _ in range(3):
        with pytest.raises(DatabaseError, match="nonsense"):
            await bank.lookup(lambda tx: tx.all("select name from nonsense"))
        assert await bank.lookup(names) == []


async def test_a_lookup_answers_values_no_statement_can_hold_as_a_read_does(bank: Database) -> None:
    outcomes = []
    for ask in (bank.read, bank.lookup):
        try:
            outcomes.append(await ask(lambda tx: balance(tx, "a\0b")))
        except DatabaseError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


async def test_a_caller_who_gave_up_disturbs_nobody(bank: Database) -> None:
    await bank.write(opening("found", 7))
    asked = [asyncio.create_task(bank.lookup(lambda tx: balance(tx, "found"))) for _ in range(20)]
    await asyncio.sleep(0)
    for task in asked[::2]:
        task.cancel()
    assert await asyncio.gather(*asked[1::2]) == [7] * 10
    assert await bank.lookup(lambda tx: balance(tx, "found")) == 7


async def test_a_closed_database_answers_no_lookup(bank: Database) -> None:
    await bank.close()
    with pytest.raises(Unavailable):
        await bank.lookup(names)


async def test_a_migration_meanwhile_does_not_break_lookups_that_were_prepared(bank: Database) -> None:
    await bank.write(opening("found", 7))
    whole = lambda tx: dict(tx.all("select * from account")[0])  # noqa: E731
    assert set(await bank.lookup(whole)) == {"id", "name", "balance"}
    await bank.write(lambda tx: tx.run("alter table account add column color text"))
    for _ in range(2):
        assert set(await bank.lookup(whole)) == {"id", "name", "balance", "color"}
