"""Codes we make, read back by others: an independent BR Code reader and an independent QR reader."""

import string
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zxingcpp
from brcode.utils.brcodeId import jsonFromBrcode

from opentill.pix import qr
from opentill.pix.brcode import build_dynamic, build_static
from opentill.pix.documents import cnpj_of
from tests.contract.pix.scene import in_process
from tests.unit.pix.test_qr import pixels_of
from tests.unit.pix.vectors import CODES

LETTERS = string.ascii_letters + string.digits


def a_key(chance: Random) -> str:
    head = "".join(chance.choices(string.digits + string.ascii_uppercase, k=12))
    number = "".join(chance.choices(string.digits, k=8))
    hexes = f"{chance.getrandbits(128):032x}"
    evp = "-".join((hexes[:8], hexes[8:12], hexes[12:16], hexes[16:20], hexes[20:]))
    return chance.choice([cnpj_of(head), f"+55119{number}", f"{number}@example.com", evp, "12345678909"])


def a_static_code(chance: Random) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {
        "key": a_key(chance),
        "name": "".join(chance.choices(LETTERS, k=chance.randint(1, 25))),
        "city": "".join(chance.choices(LETTERS, k=chance.randint(1, 15))),
        "amount_centavos": chance.choice([None, 1, chance.randint(1, 999_999_999_999)]),
        "label": chance.choice([None, "".join(chance.choices(LETTERS, k=chance.randint(1, 25)))]),
    }
    return build_static(**given), given


def shown(amount: int | None) -> str | None:
    return None if amount is None else f"{amount // 100}.{amount % 100:02}"


def test_an_independent_reader_reads_static_codes_as_they_were_meant() -> None:
    chance = Random(7)
    for _ in range(1_000):
        code, given = a_static_code(chance)
        read = jsonFromBrcode(code)
        assert read["26"] == {"00": "br.gov.bcb.pix", "01": given["key"]}
        assert (read["59"], read["60"], read.get("54")) == (
            given["name"],
            given["city"],
            shown(given["amount_centavos"]),
        )
        assert read["62"]["05"] == (given["label"] or "***")
        assert (read["53"], read["58"]) == ("986", "BR")


def test_an_independent_reader_reads_dynamic_codes_as_they_were_meant() -> None:
    chance = Random(8)
    for _ in range(200):
        url = f"pix.example.com/qr/v2/{''.join(chance.choices(LETTERS, k=chance.randint(1, 50)))}"
        read = jsonFromBrcode(build_dynamic(url=url, name="Loja", city="Natal", amount_centavos=chance.randint(1, 999)))
        assert (read["26"]["25"], read["01"], read["62"]["05"]) == (url, "12", "***")


@pytest.mark.parametrize("name", [name for name in CODES if name != "H"])
def test_an_independent_reader_reads_the_vectors(name: str) -> None:
    assert jsonFromBrcode(CODES[name])["63"] == CODES[name][-4:]


@pytest.mark.anyio
async def test_the_sandbox_banks_codes_are_read_too(tmp_path: Path) -> None:
    async with in_process(tmp_path) as scene:
        charge = await scene.receiver().create_charge(scene.request())
        assert charge.code is not None
        assert jsonFromBrcode(charge.code)["26"]["25"] == charge.location
        assert drawn_and_read(charge.code) == charge.code


@pytest.mark.parametrize("name", ["A", "F2", "G2"])
@pytest.mark.checklist("L3")
def test_the_image_of_a_vector_reads_back(name: str) -> None:
    assert drawn_and_read(CODES[name]) == CODES[name]


@pytest.mark.checklist("L3")
def test_images_of_codes_of_every_kind_read_back() -> None:
    chance = Random(9)
    for _ in range(20):
        code, _ = a_static_code(chance)
        assert drawn_and_read(code) == code


def drawn_and_read(code: str) -> str:
    [found] = zxingcpp.read_barcodes(pixels_of(qr.png(code)))
    return found.text
