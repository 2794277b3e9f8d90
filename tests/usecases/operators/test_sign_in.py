"""Signing in: sessions on the server, doors that shut, and a second factor whose codes work once."""

import asyncio

import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.operators import people, sign_in
from opentill.operators.sign_in import Caller, Locked, Opened, Wrong
from tests.make import Scene
from tests.usecases.operators.people import HOME, Door, add


async def door_of(database: Database) -> Door:
    scene = Scene()
    await database.write(lambda tx: add(tx, scene))
    return Door(database, scene)


async def test_a_right_password_opens_a_session_and_a_wrong_one_does_not(database: Database) -> None:
    door = await door_of(database)
    opened = await door.knocks()
    assert isinstance(opened, Opened)
    who = await door.knows(opened.token.reveal())
    assert who is not None
    assert (who.operator.email, who.may("system.manage")) == ("ana@loja.example", True)

    assert await door.knocks(password="other") == Wrong()
    assert await door.knocks(email="nobody@loja.example") == Wrong()
    assert await door.knows("0" * 64) is None


async def test_a_session_ends_when_idle_after_half_a_day_and_on_leaving(database: Database) -> None:
    door = await door_of(database)
    idle, used = await door.knocks(), await door.knocks()
    assert isinstance(idle, Opened)
    assert isinstance(used, Opened)
    for _ in range(11):
        door.scene.clock.advance(HOUR)
        who = await door.knows(used.token.reveal())
        assert who is not None
        await database.write(lambda tx, who=who: sign_in.touch(tx, who.session_id, now=door.scene.clock.now()))
    assert await door.knows(idle.token.reveal()) is None
    door.scene.clock.advance(HOUR)
    assert await door.knows(used.token.reveal()) is None

    left = await door.knocks()
    assert isinstance(left, Opened)
    who = await door.knows(left.token.reveal())
    assert who is not None
    await database.write(lambda tx: sign_in.leave(tx, who.session_id, now=door.scene.clock.now()))
    assert await door.knows(left.token.reveal()) is None


@pytest.mark.checklist("M61")
@pytest.mark.bar("S8", part="sign-in")
async def test_five_wrong_passwords_shut_the_door_for_this_account_and_address_alone(database: Database) -> None:
    door = await door_of(database)
    for email in ("ana@loja.example", "nobody@loja.example"):
        for _ in range(5):
            assert await door.knocks(email, "wrong") == Wrong()
        assert isinstance(await door.knocks(email), Locked), "even with the right password, and whoever it is"
    assert isinstance(await door.knocks(caller=Caller("198.51.100.7", "")), Opened)

    door.scene.clock.advance(15 * MINUTE - SECOND)
    assert isinstance(await door.knocks(), Locked)
    door.scene.clock.advance(SECOND)
    assert isinstance(await door.knocks(), Opened)


async def test_failures_far_apart_do_not_shut_the_door(database: Database) -> None:
    door = await door_of(database)
    for _ in range(12):
        assert await door.knocks(password="wrong") == Wrong()
        door.scene.clock.advance(2 * MINUTE)


async def test_an_address_that_tries_many_accounts_is_shut_out_of_all(database: Database) -> None:
    door = await door_of(database)
    for number in range(25):
        assert await door.knocks(f"p{number}@loja.example", "wrong") == Wrong()
    assert isinstance(await door.knocks(), Locked)


async def test_many_guesses_at_once_count_each(database: Database) -> None:
    door = await door_of(database)
    guesses = await asyncio.gather(*(door.knocks(password="wrong") for _ in range(20)))
    assert sum(isinstance(guess, Wrong) for guess in guesses) == 5
    assert isinstance(await door.knocks(), Locked)


@pytest.mark.checklist("M61")
@pytest.mark.bar("S7", part="sign-in form")
async def test_a_session_is_worth_nothing_before_its_code(database: Database) -> None:
    door = await door_of(database)
    operator = await database.read(lambda tx: people.found(tx, 1))
    seed, _ = await door.turns_on(operator)
    door.scene.clock.advance(MINUTE)

    half = await door.knocks()
    assert isinstance(half, Opened)
    assert half.factor_due
    assert await door.knows(half.token.reveal()) is None
    assert await door.gives(half, "000000") == Wrong()

    whole = await door.gives(half, door.code(seed))
    assert isinstance(whole, Opened)
    assert whole.token != half.token, "whoever knew the first token does not know the session's"
    assert await door.knows(whole.token.reveal()) is not None
    assert await door.gives(half, door.code(seed)) is None
    door.scene.clock.advance(6 * MINUTE)
    late = await door.knocks()
    assert isinstance(late, Opened)
    door.scene.clock.advance(5 * MINUTE)
    assert await door.gives(late, door.code(seed)) is None


@pytest.mark.checklist("M61")
@pytest.mark.bar("S7", part="a code works once, within a step")
@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_code_of_a_clock_that_is_off(database: Database, steps: int, good: bool) -> None:
    door = await door_of(database)
    operator = await database.read(lambda tx: people.found(tx, 1))
    seed, _ = await door.turns_on(operator)
    door.scene.clock.advance(5 * MINUTE)
    first, second = await door.knocks(), await door.knocks()
    assert isinstance(first, Opened)
    assert isinstance(second, Opened)
    code = door.code(seed, steps=steps)
    assert isinstance(await door.gives(first, code), Opened if good else Wrong)
    assert await door.gives(second, code) == Wrong(), "a code that was used is used up"


@pytest.mark.checklist("M61")
@pytest.mark.bar("S7", part="recovery codes")
async def test_a_recovery_code_opens_once_however_it_is_typed(database: Database) -> None:
    door = await door_of(database)
    operator = await database.read(lambda tx: people.found(tx, 1))
    _, codes = await door.turns_on(operator)
    assert len(codes) == len(set(codes)) == 10
    for typed in (codes[0].upper(), codes[1].replace("-", " "), codes[2]):
        half = await door.knocks()
        assert isinstance(half, Opened)
        assert isinstance(await door.gives(half, typed), Opened)
    again = await door.knocks()
    assert isinstance(again, Opened)
    assert await door.gives(again, codes[0]) == Wrong()
    kept = await database.read(lambda tx: tx.all("select code_hash from recovery_code"))
    assert not {row["code_hash"] for row in kept} & {code.replace("-", "") for code in codes}


@pytest.mark.checklist("M61")
@pytest.mark.bar("S8", part="codes")
async def test_guessing_codes_shuts_the_same_door(database: Database) -> None:
    door = await door_of(database)
    operator = await database.read(lambda tx: people.found(tx, 1))
    seed, _ = await door.turns_on(operator)
    door.scene.clock.advance(MINUTE)
    half = await door.knocks()
    assert isinstance(half, Opened)
    for _ in range(5):
        assert await door.gives(half, "123456") == Wrong()
    assert isinstance(await door.gives(half, door.code(seed)), Locked)
    assert isinstance(await door.knocks(), Locked)


@pytest.mark.bar("S7", part="re-authentication")
async def test_proving_oneself_again_asks_for_both(database: Database) -> None:
    door = await door_of(database)
    opened = await door.knocks()
    assert isinstance(opened, Opened)
    operator = await database.read(lambda tx: people.found(tx, 1))
    seed, _ = await door.turns_on(operator)
    door.scene.clock.advance(11 * MINUTE)
    who = await door.knows(opened.token.reveal())
    assert who is not None
    assert not sign_in.is_fresh(who, door.scene.clock.now())

    async def confirmed(code: str, *, matched: bool) -> object:
        return await database.write(
            lambda tx: sign_in.confirm(
                tx, who, code, HOME, matched=matched, keyring=door.scene.keyring, now=door.scene.clock.now()
            )
        )

    assert await confirmed("", matched=True) == Wrong()
    assert await confirmed(door.code(seed), matched=False) == Wrong()
    assert await confirmed(door.code(seed), matched=True) is None
    again = await door.knows(opened.token.reveal())
    assert again is not None
    assert sign_in.is_fresh(again, door.scene.clock.now())


@pytest.mark.bar("S7", part="password reset")
async def test_a_link_for_a_new_password_opens_no_session_and_ends_the_others(database: Database) -> None:
    door = await door_of(database)
    opened = await door.knocks()
    assert isinstance(opened, Opened)
    operator = await database.read(lambda tx: people.found(tx, 1))
    seed, _ = await door.turns_on(operator)
    keyring = door.scene.keyring
    token = await database.write(
        lambda tx: people.new_link(tx, 1, ids=door.scene.ids, keyring=keyring, now=door.scene.clock.now())
    )
    await database.write(
        lambda tx: people.use_link(tx, token.reveal(), "$argon2id$…", keyring=keyring, now=door.scene.clock.now())
    )
    assert await door.knows(opened.token.reveal()) is None
    door.scene.clock.advance(MINUTE)
    half = await door.knocks()
    assert isinstance(half, Opened)
    assert half.factor_due, "the new password alone is not enough"
    assert isinstance(await door.gives(half, door.code(seed)), Opened)


async def test_the_database_knows_no_token_seed_or_code_in_clear(database: Database) -> None:
    door = await door_of(database)
    opened = await door.knocks()
    assert isinstance(opened, Opened)
    operator = await database.read(lambda tx: people.found(tx, 1))
    seed, codes = await door.turns_on(operator)
    planted = [opened.token.reveal(), seed.reveal(), *codes]
    for table in ("operator", "operator_session", "recovery_code", "sign_in_attempt", "sign_in_door", "audit_entry"):
        rows = await database.read(lambda tx, table=table: [dict(row) for row in tx.all(f"select * from {table}")])
        assert not [text for text in planted if text in repr(rows)], table
