"""The first page and set-up in a browser."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR
from opentill.kernel.secret import Secret
from opentill.operators import passwords, service
from tests.usecases.checkout.shop import Shop, open_shop

PASSWORD = "quatro cavalos pastam"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path, trusted_proxies="127.0.0.1")


async def link(shop: Shop) -> str:
    token = await shop.db.write(
        lambda tx: service.create_setup_link(tx, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
    )
    return f"/setup/{token.reveal()}"


def person(**changes: str) -> dict[str, str]:
    return {"name": "Ana Souza", "email": "Ana@loja.example", "password": PASSWORD, "repeated": PASSWORD} | changes


async def test_the_first_page_says_what_runs_and_what_to_do_next(shop: Shop) -> None:
    page = await shop.browser().opens("/")
    assert page.heading == "This payment gateway is running"
    assert "https://pay.example.com/api/v1" in page.text
    assert "opentill setup" in page.text

    await page.opens(await link(shop))
    await page.presses("Make the operator", **person())
    await page.opens("/")
    assert "opentill setup" not in page.text
    assert page.links("Open the panel") == ["/admin"]


async def test_the_first_operator_is_made_signed_in_and_led_on(shop: Shop) -> None:
    page = await shop.browser(**{"x-forwarded-for": "203.0.113.77"}).opens(await link(shop))
    assert page.heading == "Make the first operator"
    assert "At least 12 characters" in page.text

    await page.presses("Make the operator", **person())

    assert page.heading == "Padaria São João"
    assert page.page.url.path.startswith("/admin/m/padaria-sao-joao-")
    [kept] = await shop.db.read(lambda tx: tx.all("select email, name, password_hash from operator"))
    assert (kept["email"], kept["name"]) == ("ana@loja.example", "Ana Souza")
    assert passwords.matches(kept["password_hash"], Secret(PASSWORD))
    log = await shop.db.read(lambda tx: tx.all("select origin from audit_entry where action = 'operator.created'"))
    assert [row["origin"] for row in log] == ["203.0.113.77"]


async def test_wrong_fields_are_explained_beside_them_and_passwords_not_sent_back(shop: Shop) -> None:
    page = await shop.browser(**{"accept-language": "pt"}).opens(await link(shop))

    await page.presses("Criar o operador", **person(email="ana", password="curta", repeated="outra"))

    assert page.page.status_code == 422
    for told in ("Informe um e-mail", "Use pelo menos 12 caracteres.", "As duas senhas não são iguais."):
        assert told in page.text
    assert 'value="Ana Souza"' in page.page.text
    assert "curta" not in page.page.text
    assert not await shop.db.read(service.any_operator)

    await page.presses("Criar o operador", **person())
    assert page.heading == "Padaria São João"


@pytest.mark.parametrize("token", ["", "0" * 64, "abc", "%00"])
async def test_a_link_that_is_not_good_makes_nobody(shop: Shop, token: str) -> None:
    page = await shop.browser().opens(f"/setup/{token or 'x'}")
    assert page.page.status_code == 404
    assert page.heading == "This set-up link does not work"

    answer = await page.sends(f"/setup/{token or 'x'}", person())
    assert answer.status_code == 404
    assert not await shop.db.read(service.any_operator)


async def test_a_link_that_ended_while_the_form_was_open_makes_nobody(shop: Shop) -> None:
    page = await shop.browser().opens(await link(shop))
    shop.clock.advance(HOUR)
    await page.presses("Make the operator", **person())
    assert page.heading == "This set-up link does not work"


async def test_a_form_that_is_not_ours_is_shown_again(shop: Shop) -> None:
    page = await shop.browser().opens(await link(shop))
    await page.presses("Make the operator", **person(form_digest="0" * 64))
    assert "This page had grown old" in page.text
    assert not await shop.db.read(service.any_operator)
