"""What is special about PostgreSQL: units of work that run again, and connections that break."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from opentill.db import Database, DatabaseError, Options, Overloaded, ReadTx, Row, Tx, Unavailable, open_database
from opentill.db.dialect import for_update, skip_locked
from opentill.db.postgres.session import PAUSES_S
from tests.contract.database.conftest import create_tables
from tests.contract.database.test_runner import names, opening
from tests.waiting import PATIENCE_S, Gate


@pytest.fixture
async def bank(postgres_url: str) -> AsyncIterator[Database]:
    async with open_database(postgres_url, options=Options(writers=2, readers=2, lock_timeout_s=2)) as bank:
        await bank.write(create_tables)
        yield bank


def balance(tx: ReadTx, name: str, lock: str = "") -> int:
    row = tx.one_or_none(f"select balance from account where name = :name{lock}", name=name)
    assert row is not None
    return row["balance"]


def pay(tx: Tx, name: str, amount: int) -> None:
    tx.run("update account set balance = balance + :amount where name = :name", amount=amount, name=name)


async def test_two_units_in_a_deadlock_are_both_stored(bank: Database) -> None:
    await asyncio.gather(bank.write(opening("a")), bank.write(opening("b")))
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def crossing(first: str, second: str) -> None:
        def work(tx: Tx) -> None:
            runs.append(first)
            pay(tx, first, 1)
            if runs.count(first) == 1:
                both_hold_one.wait(PATIENCE_S)
            pay(tx, second, 10)

        return work

    await asyncio.gather(bank.write(crossing("a", "b")), bank.write(crossing("b", "a")))
    assert await bank.read(lambda tx: (balance(tx, "a"), balance(tx, "b"))) == (11, 11)
    assert len(runs) == 3


async def test_a_unit_that_takes_a_deadlock_for_its_own_failure_runs_again_all_the_same(bank: Database) -> None:
    await asyncio.gather(bank.write(opening("a")), bank.write(opening("b")))
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def crossing(first: str, second: str) -> None:
        def work(tx: Tx) -> None:
            runs.append(first)
            try:
                pay(tx, first, 1)
                if runs.count(first) == 1:
                    both_hold_one.wait(PATIENCE_S)
                with suppress(DatabaseError):
                    pay(tx, second, 10)
                names(tx)
            except Exception as error:
                raise LookupError("somehow") from error

        return work

    await asyncio.gather(bank.write(crossing("a", "b")), bank.write(crossing("b", "a")))
    assert await bank.read(lambda tx: (balance(tx, "a"), balance(tx, "b"))) == (11, 11)


async def test_a_unit_whose_deferred_statements_are_in_a_deadlock_runs_again(bank: Database) -> None:
    await asyncio.gather(bank.write(opening("a")), bank.write(opening("b")))
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def crossing(first: str, second: str) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            runs.append(first)
            pay(tx, first, 1)
            if runs.count(first) == 1:
                both_hold_one.wait(PATIENCE_S)
            tx.defer("update account set balance = balance + 10 where name = :name", name=second)

        return work

    await asyncio.gather(bank.write(crossing("a", "b")), bank.write(crossing("b", "a")))
    assert await bank.read(lambda tx: (balance(tx, "a"), balance(tx, "b"))) == (11, 11)
    assert len(runs) == 3


async def test_a_unit_that_cannot_be_serialized_runs_again(bank: Database) -> None:
    await bank.write(opening("a"))
    both_have_read = threading.Barrier(2)
    runs = 0

    def add_one(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        tx.run("set transaction isolation level serializable")
        seen = balance(tx, "a")
        if runs <= 2:
            both_have_read.wait(PATIENCE_S)
        tx.run("update account set balance = :balance", balance=seen + 1)

    await asyncio.gather(bank.write(add_one), bank.write(add_one))
    assert await bank.read(lambda tx: balance(tx, "a")) == 2
    assert runs == 3


async def test_a_unit_that_others_are_always_in_the_way_of_is_refused(bank: Database) -> None:
    runs = 0

    def never(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        tx.run("do $$ begin raise exception 'not now' using errcode = 'serialization_failure'; end $$")

    with pytest.raises(Overloaded, match="in the way"):
        await bank.write(never)
    assert runs == len(PAUSES_S)


async def test_a_lock_that_is_never_given_makes_the_row_unavailable(postgres_url: str) -> None:
    async with open_database(postgres_url, options=Options(writers=2, lock_timeout_s=0.1)) as bank:
        await bank.write(create_tables)
        await bank.write(opening("a"))
        gate = Gate()
        holding = asyncio.create_task(bank.write(lambda tx: (pay(tx, "a", 1), gate.wait())))
        await gate.reached()
        with pytest.raises(Unavailable, match="lock"):
            await bank.write(lambda tx: balance(tx, "a", for_update(tx)))
        gate.open()
        await holding


async def test_locked_rows_can_be_left_out(bank: Database) -> None:
    await asyncio.gather(bank.write(opening("a")), bank.write(opening("b")))
    gate = Gate()
    holding = asyncio.create_task(bank.write(lambda tx: (balance(tx, "a", for_update(tx)), gate.wait())))
    await gate.reached()
    free = await bank.write(lambda tx: tx.all(f"select name from account{skip_locked(tx)}"))
    assert [row["name"] for row in free] == ["b"]
    gate.open()
    await holding


def terminate_others(url: str) -> int:
    """End every other connection to the database, as a restarting server does."""
    with psycopg.connect(url) as other:
        ended = other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchall()
    return len(ended)


async def both_threads(do: Callable[[Callable[[Any], Any]], Awaitable[Any]], work: Callable[[str], Any]) -> None:
    """Have both threads of a lane work: the second while the first is held up."""
    gate = Gate()

    def held(tx: Any) -> None:
        work("held")(tx)
        gate.wait()

    first = asyncio.create_task(do(held))
    await gate.reached()
    await do(work("other"))
    gate.open()
    await first


async def test_idle_connections_that_were_ended_are_opened_again(bank: Database, postgres_url: str) -> None:
    for round_ in range(3):
        assert await asyncio.to_thread(terminate_others, postgres_url) >= 4, "each thread had connected again"
        await both_threads(bank.write, lambda name, round_=round_: opening(f"{round_} {name}"))
        await both_threads(bank.read, lambda _: names)
        assert len(await bank.read(names)) == 2 * (round_ + 1)


async def test_a_unit_whose_connection_was_ended_before_its_commit_is_stored_once(
    bank: Database, postgres_url: str
) -> None:
    gate, runs = Gate(), 0

    def work(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        opening("once")(tx)
        gate.wait()
        pay(tx, "once", 7)

    working = asyncio.create_task(bank.write(work))
    await gate.reached()
    await asyncio.to_thread(terminate_others, postgres_url)
    gate.open()
    await working
    assert runs == 2
    assert await bank.read(lambda tx: balance(tx, "once")) == 7


async def test_a_unit_whose_connection_broke_in_its_commit_is_not_run_again(bank: Database) -> None:
    runs = 0

    def arm(tx: Tx) -> None:
        tx.run(
            """
            create function die() returns trigger language plpgsql as $$
            begin
              perform pg_terminate_backend(pg_backend_pid());
              return null;
            end $$
            """
        )
        tx.run(
            """
            create constraint trigger die_in_commit after insert on account
            deferrable initially deferred for each row execute function die()
            """
        )

    def work(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        opening("unknown")(tx)

    await bank.write(arm)
    with pytest.raises(Unavailable, match="unknown"):
        await bank.write(work)
    assert runs == 1
    assert await bank.read(names) == []
    await bank.write(lambda tx: tx.run("drop trigger die_in_commit on account"))
    await bank.write(opening("known"))


async def test_a_unit_whose_connection_was_ended_while_it_deferred_is_stored_once_or_unknown(
    bank: Database, postgres_url: str
) -> None:
    gate = Gate()

    def work(tx: Tx) -> None:
        opening("once")(tx)
        gate.wait()
        tx.defer("update account set balance = balance + 7 where name = 'once'")

    working = asyncio.create_task(bank.write(work))
    await gate.reached()
    await asyncio.to_thread(terminate_others, postgres_url)
    gate.open()
    with pytest.raises(Unavailable, match="unknown"):
        await working
    assert await bank.read(names) == []


async def test_more_is_sent_and_answered_together_than_a_socket_holds(bank: Database) -> None:
    long = "x" * 2_000_000
    echo = "select cast(:text as text) as text"
    asked = [lambda tx: tx.all(echo, text=long)[0]["text"]] * 8
    assert await bank.write(lambda tx: tx.together(*asked)) == (long,) * 8


async def test_a_read_that_asks_together_sees_one_moment(bank: Database) -> None:
    """A `ReadTx` does not offer it; what serves a read has it all the same."""

    def level(tx: ReadTx) -> str:
        [row] = tx.all("select current_setting('transaction_isolation') as level")
        return row["level"]

    asked: Any = lambda tx: tx.together(level, level)  # noqa: E731
    assert await bank.read(asked) == ("repeatable read", "repeatable read")


async def test_a_server_that_stays_away_makes_the_database_unavailable(bank: Database, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    server = postgres_url.removesuffix(name) + "postgres"

    def allow(connections: bool) -> None:
        with psycopg.connect(server, autocommit=True) as other:
            other.execute(f"alter database {name} allow_connections {connections}")

    await asyncio.to_thread(allow, False)
    try:
        with psycopg.connect(server, autocommit=True) as other:
            other.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        for ask in (bank.write, bank.read):
            with pytest.raises(Unavailable):
                await ask(names)
    finally:
        await asyncio.to_thread(allow, True)
    await bank.write(opening("back"))
    assert await bank.read(names) == ["back"]


async def test_a_migration_meanwhile_does_not_break_statements_that_were_prepared(bank: Database) -> None:
    def look(tx: ReadTx) -> list[dict[str, object]]:
        rows: list[Row] = list(tx.all("select * from account"))
        return [dict(row) for row in rows]

    await bank.write(opening("a"))
    for _ in range(8):
        await bank.write(look)
        await bank.read(look)
    await bank.write(lambda tx: tx.run("alter table account add column colour text not null default 'red'"))
    for _ in range(8):
        assert [row["colour"] for row in await bank.write(look)] == ["red"]
        assert [row["colour"] for row in await bank.read(look)] == ["red"]


async def test_a_read_of_one_statement_costs_one_and_of_more_one_transaction(bank: Database) -> None:
    level = "select current_setting('transaction_isolation') as level"
    alone = await bank.read(lambda tx: tx.one_or_none(level))
    together = await bank.read(lambda tx: (tx.one_or_none(level), tx.one_or_none(level)))
    assert alone is not None
    assert alone["level"] == "read committed"
    assert [row["level"] for row in together if row is not None] == ["repeatable read"] * 2


async def test_lookups_whose_connection_was_ended_are_answered_all_the_same(bank: Database, postgres_url: str) -> None:
    await bank.write(opening("found"))
    for _ in range(3):
        assert await bank.lookup(lambda tx: balance(tx, "found")) == 0
        asked = [asyncio.create_task(bank.lookup(lambda tx: balance(tx, "found"))) for _ in range(20)]
        await asyncio.to_thread(terminate_others, postgres_url)
        assert await asyncio.gather(*asked) == [0] * 20


async def test_after_a_broken_connection_lookups_come_back_to_the_event_loop(
    bank: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentill.db.postgres.lookups.TRY_AGAIN_AFTER_S", 0.0)
    await bank.write(opening("found"))

    def where(tx: ReadTx) -> threading.Thread:
        balance(tx, "found")
        return threading.current_thread()

    await asyncio.to_thread(terminate_others, postgres_url)
    async with asyncio.timeout(30):
        while await bank.lookup(where) is not threading.current_thread():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def test_a_lookup_that_cannot_be_sent_is_answered_all_the_same(
    bank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise psycopg.OperationalError("the server is gone")

    await bank.write(opening("found"))
    monkeypatch.setattr("opentill.db.postgres.lookups.numbered", refuse)  # of what sending a new statement takes
    async with asyncio.timeout(PATIENCE_S):
        assert await bank.lookup(lambda tx: balance(tx, "found")) == 0
