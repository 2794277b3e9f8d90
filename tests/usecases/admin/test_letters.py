"""The page of letters."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.mail import Letter, service
from opentill.mail.model import Kind
from tests.usecases.admin.house import House, open_house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    return await open_house(database, tmp_path)


async def test_the_page_of_letters_says_what_each_of_them_tells(house: House) -> None:
    scene = house.shop.scene
    for kind in Kind:
        letter = Letter(kind, "rui@loja.example", kind.value)
        await house.shop.db.write(
            lambda tx, letter=letter: service.post(
                tx, letter, ids=scene.ids, keyring=scene.keyring, now=scene.clock.now()
            )
        )

    page = await (await house.browser()).opens("/admin/mail")

    assert not [kind for kind in Kind if f">{kind}<" in page.text]
