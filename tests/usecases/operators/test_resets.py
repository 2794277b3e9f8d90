"""A forgotten password: a link by mail, which tells nobody anything and works once (merchant-api.md §18)."""

import json
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import MINUTE
from opentill.kernel.errors import NotFound
from opentill.operators import people, resets, sign_in
from opentill.operators.store import people as store
from tests.make import Scene
from tests.usecases.admin.house import House, open_house
from tests.usecases.operators.people import HOME, add

HASH = "$argon2id$a-new-one"


def tokens(tx: Tx, scene: Scene) -> list[str]:
    """Return the tokens of the links that wait to be sent."""
    rows = tx.all("select public_id, sealed from mail where kind = 'password-reset' and sealed is not null order by id")
    letters = [json.loads(scene.keyring.open(row["sealed"], f"mail.sealed/{row['public_id']}")) for row in rows]
    return [letter["facts"]["page"].removeprefix("/admin/password/") for letter in letters]


def asks(tx: Tx, scene: Scene, email: str = "ana@loja.example") -> list[str]:
    resets.ask(tx, email, HOME, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now())
    return tokens(tx, scene)


def uses(tx: Tx, scene: Scene, token: str) -> None:
    people.use_link(tx, token, HASH, keyring=scene.keyring, now=scene.clock.now())


async def test_the_link_chooses_a_password_once_and_ends_sessions_and_other_links(database: Database) -> None:
    scene = Scene()

    def story(tx: Tx) -> Any:
        operator = add(tx, scene)
        sign_in.open_first(tx, operator, HOME, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now())
        invited = people.new_link(tx, operator.id, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now())
        [token] = asks(tx, scene, " ANA@loja.example")
        assert people.link_owner(tx, invited.reveal(), keyring=scene.keyring, now=scene.clock.now()) == operator
        stored = tx.all("select token_hash from operator_link")
        assert all(token not in row["token_hash"] for row in stored)
        uses(tx, scene, token)
        for spent in (token, invited.reveal()):
            with pytest.raises(NotFound):
                uses(tx, scene, spent)
        assert people.sessions(tx, operator.id, now=scene.clock.now()) == []
        return store.password_hash(tx, operator.id)

    assert await database.write(story) == HASH


async def test_the_link_works_for_half_an_hour(database: Database) -> None:
    scene = Scene()
    await database.write(lambda tx: add(tx, scene))
    [token] = await database.write(lambda tx: asks(tx, scene))
    scene.clock.advance(30 * MINUTE)
    with pytest.raises(NotFound):
        await database.write(lambda tx: uses(tx, scene, token))


async def test_however_often_it_is_asked_for_few_letters_go_out(database: Database) -> None:
    scene = Scene()
    scene.clock.advance(-scene.clock.now() % resets.LETTER_EVERY)
    await database.write(lambda tx: add(tx, scene))
    for _ in range(10):
        [token] = await database.write(lambda tx: asks(tx, scene))
        scene.clock.advance(MINUTE)
    scene.clock.advance(5 * MINUTE)
    assert len(await database.write(lambda tx: asks(tx, scene))) == 2
    await database.write(lambda tx: uses(tx, scene, token))


async def test_nobody_else_is_written_to(database: Database) -> None:
    scene = Scene()

    def story(tx: Tx) -> None:
        gone = add(tx, scene, "gone@loja.example")
        store.set_status(tx, gone.id, "disabled")
        assert asks(tx, scene, "nobody@loja.example") == []
        assert asks(tx, scene, "gone@loja.example") == []
        assert asks(tx, scene, "x" * 1000) == []

    await database.write(story)
    outcomes = await database.read(lambda tx: tx.all("select outcome, operator_id from sign_in_attempt"))
    assert [(row["outcome"], row["operator_id"]) for row in outcomes] == [("reset asked", None)] * 3


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    return await open_house(database, tmp_path, mail_host="mail.example", mail_from="till@shop.example")


async def test_the_pages_say_the_same_to_everybody(house: House) -> None:
    said = []
    for email in ("ana@loja.example", "nobody@loja.example", "", "not an address\r\nBcc: eve@evil.example"):
        page = await house.shop.browser(**{"accept-language": "pt"}).opens("/admin/sign-in")
        await page.opens(page.links("Esqueceu a senha?")[0])
        answer = await page.presses("Enviar-me um link", email=email)
        said.append((answer.status_code, page.text))
    assert len(set(said)) == 1
    [token] = await house.shop.db.read(lambda tx: tokens(tx, house.shop.scene))  # type: ignore[arg-type]

    page = await house.shop.browser().opens(f"/admin/password/{token}")
    await page.presses("Save the password", password="nove pontes sobre o rio", repeated="nove pontes sobre o rio")
    assert page.heading == "Sign in"
    page = await house.shop.browser().opens(f"/admin/password/{token}")
    assert page.page.status_code == 404


async def test_one_address_cannot_ask_for_many(house: House) -> None:
    page = house.shop.browser()
    statuses = []
    for number in range(7):
        await page.opens("/admin/forgotten")
        statuses.append((await page.presses("Send me a link", email=f"{number}@loja.example")).status_code)
    assert statuses == [200] * 5 + [429] * 2


async def test_without_a_mail_server_the_page_says_so(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    page = await house.shop.browser().opens("/admin/forgotten")
    assert "cannot send mail" in page.text
    assert page.forms == []


async def test_whoever_signs_in_is_written_to_in_the_language_of_the_page(house: House) -> None:
    page = await house.shop.browser(**{"accept-language": "es"}).opens("/admin/sign-in")
    await page.presses("Entrar", email="ana@loja.example", password="quatro cavalos pastam")
    assert page.page.status_code == 200
    rows = await house.shop.db.read(lambda tx: tx.all("select language from operator where email = 'ana@loja.example'"))
    assert [row["language"] for row in rows] == ["es"]


async def test_an_operator_whose_second_factor_is_taken_away_is_told(house: House) -> None:
    await house.joins("bia@loja.example", "support")

    def with_factor(tx: Tx) -> int:
        tx.run("update operator set sealed_totp = 'v1.k1.AAAA' where email = 'bia@loja.example'")
        return int(tx.all("select id from operator where email = 'bia@loja.example'")[0]["id"])

    bia = await house.shop.db.write(with_factor)
    page = await (await house.browser()).opens(f"/admin/operators/{bia}")
    assert (await page.presses("Reset second factor")).status_code == 200
    [row] = await house.shop.db.read(lambda tx: tx.all("select kind, public_id, sealed from mail"))
    told = json.loads(house.shop.scene.keyring.open(row["sealed"], f"mail.sealed/{row['public_id']}"))
    assert (row["kind"], told["to"], told["facts"]["by"]) == ("factor-reset", "bia@loja.example", "Ana")
