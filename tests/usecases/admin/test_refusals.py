"""What is refused in the panel says why, in the language of who asked for it, and leads back."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pyotp
import pytest

from opentill.db import Database
from opentill.kernel.clock import SECOND
from opentill.operators import factors, people
from tests.usecases.admin.house import House, open_house
from tests.usecases.checkout.shop import Browser

Scene = Callable[[House, Browser], Awaitable[None]]


async def sends(browser: Browser, place: str, action: str, **changes: str) -> None:
    """Open a page and send its first form to *action* as a forger would, or somebody whose page is old."""
    await browser.opens(place)
    form = next(form for form in browser.forms if form.action.endswith(action))
    await browser.sends(form.action, form.fields | changes)


async def asks_for_a_sheet_beyond_the_role(house: House, browser: Browser) -> None:
    allowed, now = ("reports.view", "reports.manage"), house.shop.clock.now()
    role = await house.shop.db.write(lambda tx: people.save_role(tx, "Reporter", allowed, slug=None, now=now))
    await house.joins("rita@loja.example", role)
    language = browser.client.headers["accept-language"]
    rita = await house.browser("rita@loja.example", **{"accept-language": language})
    await sends(rita, f"{house.home}/exports", "/exports", sheet="payments")
    browser.page = rita.page


async def asks_for_no_sheet(house: House, browser: Browser) -> None:
    await sends(browser, f"{house.home}/exports", "/exports", sheet="wishes")


async def pays_a_word(house: House, browser: Browser) -> None:
    await sends(browser, f"{house.home}/developers", "/test-payments", amount="ninety")


async def chooses_what_no_page_offers(house: House, browser: Browser) -> None:
    await sends(browser, f"{house.home}/options", "/options", late_payments="burn")


async def takes_a_role_twice(house: House, browser: Browser) -> None:
    await house.joins("bia@loja.example", "support", house.shop.merchant)
    place, merchant = "/admin/operators/2", str(house.shop.merchant.id)
    elsewhere = await house.browser()
    await browser.opens(place)
    form = next(form for form in browser.forms if form.action.endswith("/roles"))
    await sends(elsewhere, place, "/roles", role="", merchant=merchant)
    await browser.sends(form.action, form.fields | {"role": "", "merchant": merchant})


async def turns_a_factor_on_twice(house: House, browser: Browser) -> None:
    scene, now = house.shop.scene, house.shop.clock.now()
    await browser.opens("/admin/account/factor")
    form = next(form for form in browser.forms if form.action.endswith("/factor"))
    seed = factors.new_seed(scene.ids)
    code = pyotp.TOTP(seed.reveal()).at(now // SECOND)
    await house.shop.db.write(
        lambda tx: factors.turn_on(tx, people.found(tx, 1), seed, code, ids=scene.ids, keyring=scene.keyring, now=now)
    )
    await browser.sends(form.action, form.fields | {"code": "000000"})


async def ends_a_session_twice(house: House, browser: Browser) -> None:
    await house.browser()
    await browser.opens("/admin/account")
    form = next(form for form in browser.forms if form.action.endswith("/end"))
    elsewhere = await house.browser()
    await sends(elsewhere, "/admin/account", form.action)
    await browser.sends(form.action, form.fields)


SAID: dict[Scene, tuple[str, str, str]] = {
    asks_for_a_sheet_beyond_the_role: (
        "This sheet takes a permission that your role does not include: payments.view.",
        "Esta planilha exige uma permissão que seu papel não tem: payments.view.",
        "Esta hoja exige un permiso que tu rol no incluye: payments.view.",
    ),
    asks_for_no_sheet: ("Choose one of the list.", "Escolha um da lista.", "Elige uno de la lista."),
    pays_a_word: (
        "Enter a plain amount, for example 0.50.",
        "Digite um valor simples, por exemplo 0,50.",
        "Escribe un importe simple, por ejemplo 0,50.",
    ),
    chooses_what_no_page_offers: (
        "late_payments cannot be 'burn'.",
        "late_payments não pode ser 'burn'.",
        "late_payments no puede ser 'burn'.",
    ),
    takes_a_role_twice: (
        "Ana has no role there any more.",
        "Ana já não tem papel ali.",
        "Ana ya no tiene un rol allí.",
    ),
    turns_a_factor_on_twice: (
        "The second factor is on already. Turn it off first.",
        "O segundo fator já está ligado. Desligue-o primeiro.",
        "El segundo factor ya está activado. Desactívalo primero.",
    ),
    ends_a_session_twice: (
        "The session has ended already.",
        "A sessão já foi encerrada.",
        "La sesión ya ha terminado.",
    ),
}


STATUS: dict[Scene, int] = {
    asks_for_a_sheet_beyond_the_role: 403,
    asks_for_no_sheet: 422,
    pays_a_word: 422,
    chooses_what_no_page_offers: 422,
}


@pytest.mark.parametrize("number", range(3), ids=("en", "pt-BR", "es"))
@pytest.mark.parametrize("scene", SAID, ids=lambda scene: scene.__name__)
async def test_a_refusal_says_why(database: Database, tmp_path: Path, scene: Scene, number: int) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser(**{"accept-language": ("en", "pt-BR", "es")[number]})

    await scene(house, browser)

    assert browser.page.status_code == STATUS.get(scene, 409)
    assert SAID[scene][number] in browser.text
