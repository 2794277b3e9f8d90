"""What both runners promise to whoever hands them a unit of work."""

import asyncio
import contextlib
from collections.abc import Callable
from enum import IntEnum

import pytest

from opentill.db import (
    CheckViolation,
    Database,
    DatabaseError,
    IntegrityViolation,
    Options,
    Overloaded,
    ReadTx,
    TooManyRows,
    Tx,
    Unavailable,
    UniqueViolation,
    open_database,
)
from opentill.db.dialect import ddl, for_update
from tests.contract.database.conftest import create_tables
from tests.waiting import PATIENCE_S, Gate


def opening(name: str, balance: int = 0) -> Callable[[Tx], int]:
    """Return a unit of work that opens an account and returns its id."""

    def work(tx: Tx) -> int:
        row = tx.one_or_none(
            "insert into account (name, balance) values (:name, :balance) returning id", name=name, balance=balance
        )
        assert row is not None
        return row["id"]

    return work


def names(tx: ReadTx) -> list[str]:
    return [row["name"] for row in tx.all("select name from account order by name")]


# Committing


async def test_what_a_unit_wrote_is_there_as_soon_as_it_is_answered(bank: Database) -> None:
    account = await bank.write(opening("ana", 5))
    row = await bank.read(lambda tx: tx.one_or_none("select * from account where id = :id", id=account))
    assert row is not None
    assert dict(row) == {"id": account, "name": "ana", "balance": 5}


async def test_many_units_at_once_are_all_stored(bank: Database) -> None:
    ids = await asyncio.gather(*(bank.write(opening(f"{n:03}")) for n in range(200)))
    assert len(set(ids)) == 200
    assert await bank.read(names) == [f"{n:03}" for n in range(200)]


async def test_a_unit_that_fails_loses_its_own_changes_only(bank: Database) -> None:
    def failing(tx: Tx) -> None:
        opening("lost")(tx)
        raise LookupError("after the insert")

    outcomes = await asyncio.gather(
        bank.write(opening("a")), bank.write(failing), bank.write(opening("b")), return_exceptions=True
    )
    assert isinstance(outcomes[1], LookupError)
    assert await bank.read(names) == ["a", "b"]


class OddError(BaseException):
    pass


@pytest.mark.parametrize("error", [LookupError("mine"), OddError()])
async def test_what_a_unit_raises_reaches_its_caller_unchanged(bank: Database, error: BaseException) -> None:
    def failing(tx: Tx) -> None:
        raise error

    caught = await asyncio.gather(bank.write(failing), bank.read(failing), return_exceptions=True)
    assert caught == [error, error]
    await bank.write(opening("the runner goes on"))


async def test_a_stop_iteration_does_not_hang_its_caller(bank: Database) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await bank.write(lambda tx: next(iter(())))


async def test_units_that_change_one_row_do_not_lose_each_others_changes(bank: Database) -> None:
    account = await bank.write(opening("ana"))

    def add_one(tx: Tx) -> None:
        row = tx.one_or_none(f"select balance from account where id = :id{for_update(tx)}", id=account)
        assert row is not None
        tx.run("update account set balance = :balance where id = :id", balance=row["balance"] + 1, id=account)

    await asyncio.gather(*(bank.write(add_one) for _ in range(50)))
    row = await bank.read(lambda tx: tx.one_or_none("select balance from account"))
    assert row is not None
    assert row["balance"] == 50


async def test_unfinished_work_is_invisible(bank: Database) -> None:
    gate = Gate()

    def slow(tx: Tx) -> None:
        opening("slow")(tx)
        gate.wait()

    writing = asyncio.create_task(bank.write(slow))
    await gate.reached()
    assert await bank.read(names) == []
    gate.open()
    await writing
    assert await bank.read(names) == ["slow"]


async def test_a_failing_commit_fails_everybody_in_it_and_stores_nothing(bank: Database) -> None:
    gate = Gate()

    def orphan(tx: Tx) -> None:  # its foreign key is checked at the commit
        opening("orphan")(tx)
        tx.run("insert into entry (account_id, amount) values (:account, 1)", account=404)

    blocker = asyncio.create_task(bank.write(lambda tx: gate.wait()))
    await gate.reached()
    together = asyncio.gather(
        bank.write(opening("a")), bank.write(orphan), bank.write(opening("b")), return_exceptions=True
    )
    await asyncio.sleep(0.02)
    gate.open()
    await blocker
    before, culprit, after = await together
    assert isinstance(culprit, IntegrityViolation)
    if bank.dialect == "sqlite":  # they share a commit
        assert isinstance(before, IntegrityViolation)
        assert isinstance(after, IntegrityViolation)
        assert await bank.read(names) == []
    else:
        assert await bank.read(names) == ["a", "b"]
    await bank.write(opening("c"))
    assert "c" in await bank.read(names)


# Violations


@pytest.mark.parametrize(
    ("sql", "violation", "constraint"),
    [
        ("insert into account (name) values ('ana')", UniqueViolation, "account.name"),
        ("update account set balance = -1", CheckViolation, "never_negative"),
        ("update account set name = null", IntegrityViolation, "account.name"),
        (
            "insert into posting (journal_id, line, account_id, units) values (1, 1, 1, 1)",
            CheckViolation,
            "posting is written by journals only",
        ),
    ],
)
async def test_a_violation_says_which_rule_it_broke(
    bank: Database, sql: str, violation: type[IntegrityViolation], constraint: str
) -> None:
    await bank.write(opening("ana"))
    with pytest.raises(violation) as caught:
        await bank.write(lambda tx: tx.run(sql))
    assert caught.value.constraint == constraint
    assert caught.value.__cause__ is not None


async def test_a_unique_index_on_several_columns_names_them_all(bank: Database) -> None:
    await bank.write(lambda tx: tx.run("create unique index entry_once on entry (account_id, amount) where amount > 1"))
    account = await bank.write(opening("ana"))

    def twice(tx: Tx) -> None:
        for _ in range(2):
            tx.run("insert into entry (account_id, amount) values (:account, 2)", account=account)

    with pytest.raises(UniqueViolation) as caught:
        await bank.write(twice)
    assert caught.value.constraint == "entry.account_id, entry.amount"


async def test_a_unit_may_answer_a_violation_with_an_error_of_its_own(bank: Database) -> None:
    await bank.write(opening("ana"))

    def once(tx: Tx) -> None:
        try:
            opening("ana")(tx)
        except UniqueViolation as violation:
            raise FileExistsError("ana") from violation

    with pytest.raises(FileExistsError):
        await bank.write(once)


async def test_a_unit_that_swallows_a_database_error_is_not_committed(bank: Database) -> None:
    await bank.write(opening("ana"))

    def careless(tx: Tx) -> None:
        opening("bia")(tx)
        with contextlib.suppress(UniqueViolation):
            opening("ana")(tx)
        opening("caio")(tx)

    with pytest.raises(UniqueViolation) as caught:
        await bank.write(careless)
    assert caught.value.constraint == "account.name"
    assert await bank.read(names) == ["ana"]


async def test_a_statement_that_cannot_be_understood_is_a_database_error(bank: Database) -> None:
    for ask in (bank.write, bank.read):
        with pytest.raises(DatabaseError, match="nonsense"):
            await ask(lambda tx: tx.all("select nonsense from account"))


# Statements


async def test_run_counts_the_rows_it_changed(bank: Database) -> None:
    def work(tx: Tx) -> list[int]:
        opening("a")(tx)
        opening("b")(tx)
        return [
            tx.run("update account set balance = 1"),
            tx.run("update account set balance = 2 where name = :name", name="a"),
            tx.run(
                "with rich as (select id from account where balance > 1) "
                "update account set balance = 0 where id in (select id from rich)"
            ),
            tx.run("\n  -- a comment first\n  delete from account"),
            tx.run("delete from account"),
        ]

    assert await bank.write(work) == [2, 1, 1, 2, 0]


async def test_many_executes_one_statement_for_each_row(bank: Database) -> None:
    rows = [{"name": f"{n}", "balance": n} for n in range(5)]
    insert = "insert into account (name, balance) values (:name, :balance)"
    assert await bank.write(lambda tx: tx.many(insert, rows)) == 5
    assert await bank.write(lambda tx: tx.many(insert, [])) == 0
    assert await bank.read(names) == ["0", "1", "2", "3", "4"]
    with pytest.raises(UniqueViolation):
        await bank.write(lambda tx: tx.many(insert, [{"name": "5", "balance": 5}, *rows]))
    assert await bank.read(names) == ["0", "1", "2", "3", "4"]


async def test_what_is_deferred_is_done_before_the_next_statement_and_before_the_commit(bank: Database) -> None:
    insert = "insert into account (name, balance) values (:name, :balance)"

    def work(tx: Tx) -> list[str]:
        tx.defer(insert, name="a", balance=1)
        tx.defer("update account set balance = balance + 1 where name = :name", name="a")
        seen = names(tx)
        tx.defer(insert, name="b", balance=9)
        return seen

    assert await bank.write(work) == ["a"]
    await bank.write(lambda tx: tx.defer("update account set balance = balance + 1 where name = :name", name="b"))
    rows = await bank.read(lambda tx: tx.all("select name, balance from account order by name"))
    assert [dict(row) for row in rows] == [{"name": "a", "balance": 2}, {"name": "b", "balance": 10}]


@pytest.mark.parametrize("asks_after", [True, False])
async def test_a_unit_whose_deferred_statement_fails_is_not_committed(bank: Database, asks_after: bool) -> None:
    await bank.write(opening("ana"))

    def work(tx: Tx) -> None:
        tx.defer("insert into account (name, balance) values ('bia', 0)")
        tx.defer("insert into account (name, balance) values ('ana', 0)")
        tx.defer("insert into account (name, balance) values ('caio', 0)")
        if asks_after:
            names(tx)

    with pytest.raises(UniqueViolation) as caught:
        await bank.write(work)
    assert caught.value.constraint == "account.name"
    assert await bank.read(names) == ["ana"]
    await bank.write(opening("the runner goes on"))


async def test_works_asked_together_are_answered_in_their_order(bank: Database) -> None:
    def work(tx: Tx) -> tuple[object, ...]:
        return tx.together(opening("b"), names, lambda _: "asked nothing", opening("a"), names)

    first, one, nothing, second, both = await bank.write(work)
    assert second > first
    assert (one, nothing, both) == (["b"], "asked nothing", ["a", "b"])


async def test_one_of_those_asked_together_that_fails_loses_what_all_of_them_did(bank: Database) -> None:
    await bank.write(opening("ana"))
    with pytest.raises(UniqueViolation):
        await bank.write(lambda tx: tx.together(opening("bia"), opening("ana"), opening("caio")))
    assert await bank.read(names) == ["ana"]
    await bank.write(opening("the runner goes on"))


async def test_one_or_none_does_not_hide_a_second_row(bank: Database) -> None:
    await asyncio.gather(bank.write(opening("a")), bank.write(opening("b")))
    one = "select name from account where name like :name"
    assert await bank.read(lambda tx: tx.one_or_none(one, name="z%")) is None
    with pytest.raises(TooManyRows):
        await bank.read(lambda tx: tx.one_or_none(one, name="%"))


async def test_colons_and_signs_in_text_and_comments_are_no_parameters(bank: Database) -> None:
    row = await bank.read(
        lambda tx: tx.one_or_none(
            "select ':no' as a, '100%' as b, '$1' as c, cast(:yes as text) as d -- :neither %s\n /* :nor */",
            yes=":value",
        )
    )
    assert row is not None
    assert dict(row) == {"a": ":no", "b": "100%", "c": "$1", "d": ":value"}


class Colour(IntEnum):
    RED = 1


async def test_values_come_back_as_they_went_in(bank: Database) -> None:
    kept = "create table kept (i bigint, s smallint, t text, b bytea, f double precision)"
    await bank.write(lambda tx: tx.run(ddl(tx.dialect, kept)))
    insert = "insert into kept (i, s, t, b, f) values (:i, :s, :t, :b, :f)"
    rows = [
        {"i": 2**63 - 1, "s": True, "t": "não é “ascii” 🙂 % : $1", "b": bytes(range(256)), "f": 0.1},
        {"i": -(2**63), "s": Colour.RED, "t": "", "b": b"", "f": 1e300},
        {"i": None, "s": None, "t": None, "b": None, "f": None},
    ]
    await bank.write(lambda tx: tx.many(insert, rows))
    assert [dict(row) for row in await bank.read(lambda tx: tx.all("select * from kept"))] == rows


async def test_sums_are_whole_numbers_and_conditions_are_0_or_1(bank: Database) -> None:
    await asyncio.gather(bank.write(opening("a", 2**40)), bank.write(opening("b", 1)))
    row = await bank.read(
        lambda tx: tx.one_or_none("select sum(balance) as total, sum(balance) = 3 as three, 1 = 1 as one from account")
    )
    assert row is not None
    assert [(type(value), value) for value in dict(row).values()] == [(int, 2**40 + 1), (int, 0), (int, 1)]


# Reading


async def test_a_read_sees_one_moment_and_keeps_no_writer_waiting(bank: Database) -> None:
    gate = Gate()

    def look_twice(tx: ReadTx) -> tuple[list[str], list[str]]:
        first = names(tx)
        gate.wait()
        return first, names(tx)

    reading = asyncio.create_task(bank.read(look_twice))
    await gate.reached()
    await asyncio.wait_for(asyncio.gather(*(bank.write(opening(f"{n}")) for n in range(5))), PATIENCE_S)
    gate.open()
    first, second = await reading
    assert first == second


async def test_a_reader_cannot_write(bank: Database) -> None:
    for sql in ("delete from account", "insert into account (name) values ('x')", "drop table account"):
        with pytest.raises(DatabaseError, match=r"read-?only"):
            await bank.read(lambda tx, sql=sql: tx.all(sql))
        with pytest.raises(DatabaseError, match=r"read-?only"):
            await bank.read(lambda tx, sql=sql: (names(tx), tx.all(sql)))
    assert await bank.read(names) == []


async def test_a_read_after_a_failed_read_works(bank: Database) -> None:
    for _ in range(6):
        with pytest.raises(DatabaseError):
            await bank.read(lambda tx: (names(tx), tx.all("select nonsense")))
    assert await bank.read(lambda tx: (names(tx), names(tx))) == ([], [])


# Crowding


async def test_a_full_queue_refuses_and_recovers(database_url: str) -> None:
    options = Options(writers=1, readers=1, waiting_max=3)
    async with open_database(database_url, options=options) as bank:
        await bank.write(create_tables)
        for ask in (bank.write, bank.read):
            gate = Gate()
            waiting = [asyncio.create_task(ask(lambda tx, gate=gate: gate.wait())) for _ in range(3)]
            await gate.reached()
            with pytest.raises(Overloaded) as caught:
                await ask(names)
            assert caught.value.retry_after_s >= 1
            gate.open()
            await asyncio.gather(*waiting)
            assert await ask(names) == []


async def test_a_cancelled_caller_disturbs_nobody_and_what_nobody_waits_for_is_not_begun(database_url: str) -> None:
    async with open_database(database_url, options=Options(writers=1)) as bank:
        await bank.write(create_tables)
        gate = Gate()

        def slow(tx: Tx) -> None:
            opening("begun")(tx)
            gate.wait()

        begun = asyncio.create_task(bank.write(slow))
        await gate.reached()
        queued = asyncio.create_task(bank.write(opening("queued")))
        neighbour = asyncio.create_task(bank.write(opening("neighbour")))
        await asyncio.sleep(0.02)
        begun.cancel()
        queued.cancel()
        gate.open()
        await neighbour
        assert await bank.read(names) == ["begun", "neighbour"]
        assert begun.cancelled()
        assert queued.cancelled()


async def test_a_unit_that_takes_long_does_not_stop_the_event_loop(bank: Database) -> None:
    gate = Gate()
    slow = asyncio.create_task(bank.write(lambda _: gate.wait()))
    await asyncio.sleep(0)
    others = []
    for number in range(5):  # each hands something over, to a thread that has not executed the first yet
        others.append(asyncio.create_task(bank.write(opening(str(number)))))
        await asyncio.sleep(0.001)
    gate.open()
    await asyncio.gather(slow, *others)
    assert await bank.read(names) == ["0", "1", "2", "3", "4"]


async def test_a_text_with_a_zero_character_is_refused_and_not_cut(bank: Database) -> None:
    if await bank.read(lambda tx: tx.dialect) == "sqlite":
        return  # SQLite holds it; the edges refuse it (json_body.read)
    with pytest.raises(DatabaseError):
        await bank.write(opening("before\0after"))
    assert await bank.read(names) == []


# Hints


async def test_whoever_waits_for_events_wakes_after_the_commit(bank: Database) -> None:
    def recording(tx: Tx) -> None:
        opening("event")(tx)
        tx.note_event()

    seen = bank.events_recorded.count
    waiting = asyncio.create_task(bank.events_recorded.wait_beyond(seen, PATIENCE_S))
    await bank.write(opening("no event"))
    assert bank.events_recorded.count == seen
    assert not waiting.done()
    await bank.write(recording)
    assert await waiting == seen + 1
    assert await bank.events_recorded.wait_beyond(seen, PATIENCE_S) == seen + 1


async def test_an_event_of_a_failed_unit_wakes_nobody_and_waiting_ends(bank: Database) -> None:
    def failing(tx: Tx) -> None:
        tx.note_event()
        raise LookupError

    with pytest.raises(LookupError):
        await bank.write(failing)
    seen = bank.events_recorded.count
    assert await bank.events_recorded.wait_beyond(seen, 0.01) == seen == 0


# Starting and stopping


async def test_closing_finishes_what_was_accepted(database_url: str) -> None:
    bank = open_database(database_url)
    await bank.start()
    await bank.write(create_tables)
    accepted = [asyncio.create_task(bank.write(opening(f"{n:03}"))) for n in range(150)]
    await asyncio.sleep(0)
    await bank.close()
    assert len(await asyncio.gather(*accepted)) == 150
    for ask in (bank.write, bank.read):
        with pytest.raises(Unavailable, match="closed"):
            await ask(names)
    async with open_database(database_url) as again:
        assert len(await again.read(names)) == 150


@pytest.mark.parametrize("url", ["sqlite:////proc/nowhere.db", "sqlite:////", "postgresql://nobody@127.0.0.1:1/x"])
async def test_a_database_that_does_not_answer_is_said_to_be_unavailable(url: str) -> None:
    with pytest.raises(Unavailable):
        await open_database(url).start()


def test_an_address_of_another_kind_is_refused() -> None:
    for url in ("mysql://x/y", "sqlite://", "sqlite:///", "opentill.db"):
        with pytest.raises(ValueError, match="address"):
            open_database(url)
