"""Merchants, and what they authenticate with: found by its text, by nothing else, and never stored."""

from collections.abc import Callable

import pytest

from opentill.db import Database
from opentill.kernel.errors import NotFound
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.merchants import service
from tests.make import NOW, Scene

pytestmark = pytest.mark.anyio


def flipped(text: str) -> str:
    return text[:-1] + ("1" if text[-1] == "0" else "0")


async def test_a_key_is_found_by_its_text_with_its_merchant_and_mode(database: Database) -> None:
    scene = Scene()
    shop = await database.write(lambda tx: scene.merchant(tx, "Padaria São João"))
    text = await database.write(lambda tx: scene.api_key(tx, shop, scopes=["read"]))

    found = await database.read(lambda tx: service.find_api_key(tx, text.reveal()))

    assert found is not None
    assert (found.merchant, found.owner.mode, found.scopes) == (shop, Mode.SANDBOX, {"read"})
    assert shop.slug.startswith("padaria-sao-joao-")


@pytest.mark.parametrize("change", [str.upper, flipped, lambda text: text + "0", lambda text: text[:11], lambda _: ""])
async def test_a_text_that_differs_finds_no_key(database: Database, change: Callable[[str], str]) -> None:
    scene = Scene()
    shop = await database.write(scene.merchant)
    text = await database.write(lambda tx: scene.api_key(tx, shop))

    assert await database.read(lambda tx: service.find_api_key(tx, change(text.reveal()))) is None


async def test_only_its_owner_revokes_a_key_and_only_once(database: Database) -> None:
    scene = Scene()
    shop = await database.write(scene.merchant)
    text = (await database.write(lambda tx: scene.api_key(tx, shop))).reveal()
    stranger = Owner(shop.id + 1, shop.mode)

    with pytest.raises(NotFound):
        await database.write(lambda tx: service.revoke_api_key(tx, text[3:11], owner=stranger))
    await database.write(lambda tx: service.revoke_api_key(tx, text[3:11], owner=shop.owner))
    with pytest.raises(NotFound):
        await database.write(lambda tx: service.revoke_api_key(tx, text[3:11], owner=shop.owner))

    found = await database.read(lambda tx: service.find_api_key(tx, text))
    assert found is not None
    assert found.status == "revoked"


async def test_a_credential_is_found_by_its_id_and_secret_together(database: Database) -> None:
    scene = Scene()
    shop = await database.write(scene.merchant)
    client_id, secret = await database.write(lambda tx: scene.credential(tx, shop))

    async def found(client_id: str, secret: str) -> bool:
        credential = await database.read(
            lambda tx: service.find_credential(tx, client_id, secret, keyring=scene.keyring, now=NOW)
        )
        return credential is not None and credential.merchant == shop

    assert await found(client_id, secret.reveal())
    assert not await found(client_id, flipped(secret.reveal()))
    assert not await found("cli_000000000000", secret.reveal())


async def test_no_table_holds_the_text_of_a_key_or_a_secret(database: Database) -> None:
    scene = Scene()
    shop = await database.write(scene.merchant)
    key = await database.write(lambda tx: scene.api_key(tx, shop))
    _, secret = await database.write(lambda tx: scene.credential(tx, shop))

    stored = await database.read(
        lambda tx: [
            str(value)
            for table in ("merchant", "api_key", "pix_credential")
            for row in tx.all(f"select * from {table}")
            for value in dict(row).values()
        ]
    )

    assert not [value for value in stored if key.reveal()[12:] in value or secret.reveal()[8:] in value]
