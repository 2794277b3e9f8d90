"""What payers and merchants upload is judged by its content and cannot act on whoever looks at it (bars.md S19)."""

import struct
import zlib
from pathlib import Path
from typing import Final

import pytest

from opentill.db import Database
from opentill.kernel.errors import Invalid
from opentill.payments.review import proofs
from tests.usecases.checkout.shop import Shop, open_shop


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 1, height: int = 1, *extra: bytes) -> bytes:
    """Return a grey picture; one of a large size is a few bytes all the same."""
    pixels = zlib.compress(b"\0" * min((width + 1) * height, 4096))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


SVG: Final = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
BOMB: Final = zlib.compress(b"\0" * 50_000_000)
REFUSED: Final = {
    "a program": b"MZ\x90\0" + b"\0" * 64,
    "an ELF program": b"\x7fELF" + b"\0" * 64,
    "a page": b"<!doctype html><script>alert(1)</script>",
    "a drawing with a script": SVG,
    "a drawing behind a byte order mark": b"\xef\xbb\xbf" + SVG,
    "a GIF": b"GIF89a" + b"\0" * 32,
    "an archive": b"PK\x03\x04" + b"\0" * 64,
    "a packed archive": b"\x1f\x8b\x08\0" + BOMB[:64],
    "nothing": b"",
    "the beginning of a picture": png()[:20],
    "a picture that ends early": png()[:-20],
    "a script that calls itself a picture": b"\x89PNG" + b"<script>alert(1)</script>",
    "a JPEG without a picture": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "too much": png() + b"\0" * (proofs.BYTES_MAX + 1),
}
NAMES: Final = (
    "../../etc/passwd",
    "..\\..\\x.png",
    "a\r\nSet-Cookie: a=b.png",
    "\u202egnp.exe",
    "x" * 500,
    "",
    "\0",
    "<b>.png",
)


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    return await open_shop(database, tmp_path)


@pytest.mark.bar("S19")
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_no_picture_and_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        proofs.accept("receipt.png", data)


@pytest.mark.bar("S19")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_and_no_path(name: str) -> None:
    kept = proofs.accept(name, png()).name
    assert kept
    assert len(kept) <= proofs.NAME_MAX
    assert not set("/\\\r\n\0\u202e") & set(kept)


@pytest.mark.bar("S19")
def test_the_kind_is_what_the_content_is_and_never_what_was_said() -> None:
    assert proofs.accept("x.exe", png()).media_type == "image/png"
    assert proofs.accept("x.png", b"%PDF-1.7\n%%EOF\n").media_type == "application/pdf"


@pytest.mark.bar("S19")
def test_what_a_camera_adds_is_dropped() -> None:
    place = chunk(b"eXIf", b"-23.5505 -46.6333") + chunk(b"tEXt", b"Author\0Ana Souza")
    kept = proofs.accept("x.png", png(1, 1, place)).data
    assert b"-23.5505" not in kept
    assert b"Ana" not in kept


@pytest.mark.bar("S19")
def test_a_picture_is_not_unpacked_so_it_cannot_burst() -> None:
    large = png(30_000, 30_000, chunk(b"tRNS", b"\0\0"))
    assert len(proofs.accept("x.png", large).data) < 10_000


@pytest.mark.bar("S19")
async def test_a_logo_is_a_picture_and_is_served_as_nothing_else(shop: Shop) -> None:
    for data in (SVG, b"GIF89a", b"<!doctype html><script>alert(1)</script>", b"\x89PNG\r\n\x1a\n" + b"\0" * 65_536):
        with pytest.raises(Invalid):
            await shop.brands_itself(logo=data)
    await shop.brands_itself(logo=png())
    payment = await shop.orders()
    page = await shop.browser().opens(f"/checkout/{payment.token}")
    address = page.page.text.partition('class="logo" src="')[2].partition('"')[0]

    picture = await page.client.get(address)

    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in picture.headers["content-security-policy"]
