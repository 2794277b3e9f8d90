"""The set-up link: one hour, once, and only while there is no operator."""

import asyncio

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import HOUR, SECOND
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.kernel.secret import Secret
from opentill.operators import service
from opentill.operators.model import Operator
from tests.make import Scene


def link(tx: Tx, scene: Scene) -> str:
    made = service.create_setup_link(tx, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now())
    return made.reveal()


def claim(tx: Tx, scene: Scene, token: str, email: str = "ana@loja.example") -> Operator:
    return service.claim_setup_link(
        tx,
        token,
        email=email,
        name="Ana",
        password_hash="$argon2id$…",
        origin="203.0.113.9",
        keyring=scene.keyring,
        now=scene.clock.now(),
    )


async def test_a_link_makes_one_operator_and_both_steps_are_in_the_audit_log(database: Database) -> None:
    scene = Scene()
    token = await database.write(lambda tx: link(tx, scene))
    assert not await database.read(service.any_operator)

    made = await database.write(lambda tx: claim(tx, scene, token))

    assert (made.email, made.status) == ("ana@loja.example", "active")
    assert await database.read(service.any_operator)
    log = await database.read(lambda tx: tx.all("select actor, origin, action from audit_entry order by id"))
    assert [tuple(dict(row).values()) for row in log] == [
        ("console", "command line", "setup_link.created"),
        (f"operator:{made.id}", "203.0.113.9", "operator.created"),
    ]


async def test_a_link_works_once(database: Database) -> None:
    scene = Scene()
    token = await database.write(lambda tx: link(tx, scene))
    await database.write(lambda tx: claim(tx, scene, token))

    with pytest.raises(NotFound):
        await database.write(lambda tx: claim(tx, scene, token, "bia@loja.example"))
    with pytest.raises(NotFound):
        await database.read(
            lambda tx: service.check_setup_link(tx, token, keyring=scene.keyring, now=scene.clock.now())
        )
    with pytest.raises(Conflict):
        await database.write(lambda tx: link(tx, scene))


async def test_of_two_people_with_the_link_one_becomes_the_operator(database: Database) -> None:
    scene = Scene()
    token = await database.write(lambda tx: link(tx, scene))

    outcomes = await asyncio.gather(
        *(database.write(lambda tx, n=n: claim(tx, scene, token, f"p{n}@loja.example")) for n in range(6)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Operator) for outcome in outcomes) == 1
    assert len(await database.read(lambda tx: tx.all("select id from operator"))) == 1


async def test_a_link_ends_after_an_hour_or_with_the_next_one(database: Database) -> None:
    scene = Scene()
    first = await database.write(lambda tx: link(tx, scene))
    second = await database.write(lambda tx: link(tx, scene))
    with pytest.raises(NotFound):
        await database.write(lambda tx: claim(tx, scene, first))

    scene.clock.advance(HOUR - SECOND)
    await database.read(lambda tx: service.check_setup_link(tx, second, keyring=scene.keyring, now=scene.clock.now()))
    scene.clock.advance(SECOND)
    with pytest.raises(NotFound):
        await database.write(lambda tx: claim(tx, scene, second))


async def test_the_database_does_not_know_the_link(database: Database) -> None:
    scene = Scene()
    token = await database.write(lambda tx: link(tx, scene))
    rows = await database.read(lambda tx: tx.all("select token_hash from setup_link"))
    assert [row["token_hash"] == token for row in rows] == [False]
    assert (
        await database.read(lambda tx: tx.all("select id from audit_entry where detail like :t", t=f"%{token}%")) == []
    )


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        service.checked("not an address", "  ", Secret("short"), Secret("other"))
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [
        ("email", "EMAIL_INVALID"),
        ("name", "NAME_REQUIRED"),
        ("password", "PASSWORD_TOO_SHORT"),
        ("repeated", "PASSWORDS_DIFFER"),
    ]


def test_an_address_and_a_name_are_stored_in_one_spelling() -> None:
    password = Secret("quatro cavalos pastam")
    assert service.checked(" Ana@Loja.Example ", " Ana  Souza ", password, password) == (
        "ana@loja.example",
        "Ana Souza",
    )
