"""Nothing can be guessed: names that open something are long, and a wrong one says nothing (bars.md S8).

Sign-in and codes are in tests/usecases/operators/test_sign_in.py.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from opentill.api.external.app import ExternalApi
from opentill.api.merchant.app import MerchantApi
from opentill.db import Database
from opentill.operators import audit
from opentill.portal.entrance import TRIES_PER_MINUTE
from opentill.webhooks import portal_access
from opentill.webhooks.model import BOUNDS
from tests.contract.api.client import Response, ask
from tests.e2e.showroom import everything
from tests.usecases.admin.house import COOKIE, House, open_house

BITS_MIN: Final = 128
SECRETS: Final = 16  # of each kind


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    house = await open_house(database, tmp_path)
    house.shop.app = everything(house.shop)
    return house


def bits(text: str) -> int:
    """Return how many bits a text of hexadecimal digits, or of lower-case letters and digits, can hold at least."""
    assert re.fullmatch(r"[0-9a-z]+", text), text
    return (4 if re.fullmatch(r"[0-9a-f]+", text) else 5) * len(text)


@pytest.mark.bar("S8", part="tokens")
async def test_what_opens_something_has_at_least_128_bits_and_comes_once(house: House) -> None:
    shop, scene = house.shop, house.shop.scene
    tokens: dict[str, set[str]] = {"checkout": set(), "invoice": set(), "session": set(), "key": set(), "secret": set()}
    for number in range(SECRETS):
        tokens["checkout"].add((await shop.orders()).token)
        tokens["invoice"].add((await shop.bills(number=f"T-{number}")).token)
        tokens["session"].add((await house.browser()).client.cookies[COOKIE])
        key = await shop.db.write(lambda tx: scene.api_key(tx, shop.merchant))
        tokens["key"].add(key.reveal().rpartition(".")[2])
        _, secret = await shop.db.write(lambda tx: scene.credential(tx, shop.merchant))
        tokens["secret"].add(secret.reveal().removeprefix("sk_"))
    for kind, made in tokens.items():
        assert len(made) == SECRETS, kind
        random = {token[-32:] for token in made}  # a checkout's begins with the time it was made
        assert len(random) == SECRETS, kind
        assert min(map(bits, random)) >= BITS_MIN, kind


@pytest.mark.bar("S8", part="equal answers")
@pytest.mark.parametrize("place", ["/checkout/{}", "/invoice/{}", "/setup/{}", "/admin/password/{}", "/pay/{}"])
async def test_a_wrong_name_gets_one_answer_whatever_it_looks_like(house: House, place: str) -> None:
    browser = house.shop.browser()
    real = (await house.shop.orders()).token
    said = set()
    for wrong in (real[:-1] + ("0" if real[-1] != "0" else "1"), "0" * len(real), "x", "%00", "a" * 300):
        answer = await browser.client.get(place.format(wrong))
        said.add((answer.status_code, without_marks(answer.text)))
    assert len(said) == 1
    assert {status for status, _ in said} == {404}


def without_marks(text: str) -> str:
    """Leave out what differs in every answer: its request id."""
    return re.sub(r"\b[0-9a-f]{32}\b", "", text)


@pytest.mark.bar("S8", part="equal answers")
async def test_a_wrong_key_gets_one_answer_whether_or_not_half_of_it_is_right(house: House) -> None:
    shop = house.shop
    key = (await shop.db.write(lambda tx: shop.scene.api_key(tx, shop.merchant))).reveal()
    prefix, _, secret = key.partition(".")
    api, said = MerchantApi(shop.deps), set()
    for wrong in (f"{prefix}.{'0' * len(secret)}", f"op_00000000.{secret}", f"op_00000000.{'0' * len(secret)}"):
        answer = await ask(api, "GET", "/payments", headers={"authorization": f"Bearer {wrong}"})
        said.add((answer.status, told(answer)))
    assert len(said) == 1
    assert {status for status, _ in said} == {401}


@pytest.mark.bar("S8", part="equal answers")
async def test_a_wrong_pix_secret_gets_the_answer_of_an_unknown_client(house: House) -> None:
    shop = house.shop
    client_id, secret = await shop.db.write(lambda tx: shop.scene.credential(tx, shop.merchant))
    api, said = ExternalApi(shop.deps), set()
    for name, word in ((client_id, "sk_" + "0" * 64), ("cli_" + "0" * 24, secret.reveal()), ("cli_x", "sk_x")):
        answer = await ask(api, "GET", "/balance", headers={"authorization": f"Bearer {name}:{word}"})
        said.add((answer.status, told(answer)))
    assert len(said) == 1
    assert {status for status, _ in said} == {401}


def told(answer: Response) -> str:
    return without_marks(answer.body.decode())


@pytest.mark.bar("S8", part="portal links")
async def test_portal_links_are_tried_a_few_times_a_minute(house: House) -> None:
    shop, scene = house.shop, house.shop.scene
    link = await shop.db.write(
        lambda tx: portal_access.make_link(
            tx,
            bounds=BOUNDS,
            owner=shop.merchant.owner,
            endpoints=[house.names["endpoint"]],
            rights=portal_access.RIGHTS,
            ids=scene.ids,
            keyring=scene.keyring,
            now=shop.clock.now(),
            by=audit.at_console("", ""),
        )
    )
    browser = shop.browser()
    statuses = [
        (await browser.client.get(f"/portal/{link.reveal()[:-1]}{number:x}x")).status_code for number in range(30)
    ]
    assert statuses[:TRIES_PER_MINUTE] == [404] * TRIES_PER_MINUTE
    assert set(statuses[TRIES_PER_MINUTE:]) == {429}
