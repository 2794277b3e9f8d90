"""Operators and roles: inviting, limiting, disabling; one owner always remains."""

import asyncio

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import DAY
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.operators import people
from opentill.operators.model import Operator, SignedIn
from opentill.operators.permissions import ALL, ROLES
from opentill.operators.sign_in import Opened
from tests.make import Scene
from tests.usecases.operators.people import Door, add


def invited(tx: Tx, scene: Scene, **changes: object) -> tuple[Operator, str]:
    fields = {"email": "Bia@Loja.example", "name": "Bia", "role": "support", "merchant_id": None} | changes
    operator, token = people.invite(
        tx,
        ids=scene.ids,
        keyring=scene.keyring,
        now=scene.clock.now(),
        **fields,  # type: ignore[arg-type]
    )
    return operator, token.reveal()


async def test_an_invited_operator_chooses_a_password_once_within_a_day(database: Database) -> None:
    scene = Scene()
    bia, token = await database.write(lambda tx: invited(tx, scene))
    assert bia.email == "bia@loja.example"

    def used(tx: Tx) -> Operator:
        return people.use_link(tx, token, "$argon2id$…", keyring=scene.keyring, now=scene.clock.now())

    assert (await database.write(used)).id == bia.id
    with pytest.raises(NotFound):
        await database.write(used)
    other = await database.write(
        lambda tx: people.new_link(tx, bia.id, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now())
    )
    scene.clock.advance(DAY)
    with pytest.raises(NotFound):
        await database.write(
            lambda tx: people.use_link(tx, other.reveal(), "x", keyring=scene.keyring, now=scene.clock.now())
        )


async def test_nobody_is_invited_twice_or_with_a_role_that_is_not_there(database: Database) -> None:
    scene = Scene()
    await database.write(lambda tx: invited(tx, scene))
    with pytest.raises(Invalid) as refused:
        await database.write(lambda tx: invited(tx, scene, name="", role="emperor"))
    assert [fault.code for fault in refused.value.faults] == ["EMAIL_TAKEN", "NAME_REQUIRED", "ROLE_UNKNOWN"]


async def test_a_role_counts_at_its_merchant_only(database: Database) -> None:
    scene = Scene()
    blue = await database.write(scene.merchant)
    red = await database.write(lambda tx: scene.merchant(tx, "Loja Vermelha"))
    bia, _ = await database.write(lambda tx: invited(tx, scene, merchant_id=blue.id))
    grants = await database.read(lambda tx: people.roles_of(tx, bia.id))
    who = SignedIn(1, "s", bia, grants, scene.clock.now())
    assert who.may("payments.view", blue.id)
    assert not who.may("payments.view", red.id)
    assert not who.may("payments.view")
    assert not who.may("ledger.view", blue.id)
    assert not who.everywhere


async def test_the_last_owner_stays(database: Database) -> None:
    scene = Scene()
    ana = await database.write(lambda tx: add(tx, scene))
    now = scene.clock.now()
    for taken in (
        lambda tx: people.disable(tx, ana.id, now=now),
        lambda tx: people.set_role(tx, ana.id, "finance", merchant_id=None, now=now),
        lambda tx: people.take_role(tx, ana.id, merchant_id=None),
    ):
        with pytest.raises(Conflict):
            await database.write(taken)
    bia = await database.write(lambda tx: add(tx, scene, "bia@loja.example"))
    await database.write(lambda tx: people.disable(tx, ana.id, now=now))
    with pytest.raises(Conflict):
        await database.write(lambda tx: people.disable(tx, bia.id, now=now))


async def test_of_two_owners_who_disable_each_other_one_stays(database: Database) -> None:
    scene = Scene()
    ana = await database.write(lambda tx: add(tx, scene))
    bia = await database.write(lambda tx: add(tx, scene, "bia@loja.example"))
    outcomes = await asyncio.gather(
        *(database.write(lambda tx, one=one: people.disable(tx, one.id, now=scene.clock.now())) for one in (ana, bia)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1


async def test_a_disabled_operator_is_out_at_once(database: Database) -> None:
    scene = Scene()
    await database.write(lambda tx: add(tx, scene))
    bia = await database.write(lambda tx: add(tx, scene, "bia@loja.example", "finance"))
    door = Door(database, scene)
    opened = await door.knocks("bia@loja.example")
    assert isinstance(opened, Opened)
    await database.write(lambda tx: people.disable(tx, bia.id, now=scene.clock.now()))
    assert await door.knows(opened.token.reveal()) is None
    assert not isinstance(await door.knocks("bia@loja.example"), Opened)


async def test_a_role_made_here_allows_what_it_names_and_nothing_unknown(database: Database) -> None:
    scene = Scene()
    slug = await database.write(
        lambda tx: people.save_role(tx, "Night shift", ["payments.view"], slug=None, now=scene.clock.now())
    )
    bia, _ = await database.write(lambda tx: invited(tx, scene, role=slug))
    [grant] = await database.read(lambda tx: people.roles_of(tx, bia.id))
    assert grant.permissions == {"payments.view"}
    for name, permissions in (("owner", ["payments.view"]), ("x", []), ("y", ["payments.burn"])):
        with pytest.raises(Invalid):
            await database.write(
                lambda tx, name=name, permissions=permissions: people.save_role(
                    tx, name, permissions, slug=None, now=scene.clock.now()
                )
            )


def test_presets_are_made_of_permissions_that_exist() -> None:
    assert all(permissions <= ALL for permissions in ROLES.values())
    assert ROLES["owner"] == ALL
    assert all(name.endswith(".view") for name in ROLES["read-only"])
