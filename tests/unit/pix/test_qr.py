"""QR images: what an independent reader sees in them."""

import base64
import struct
import xml.etree.ElementTree as ET
import zlib

import pytest

from opentill.pix import qr
from tests.unit.pix.vectors import CODES

zxingcpp = pytest.importorskip("zxingcpp", reason="the independent QR reader zxing-cpp is not installed")


def pixels_of(png: bytes) -> memoryview:
    """Return the grey pixels of a one-bit PNG whose lines carry no filter."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunks[kind] = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + chunks[kind]) == int.from_bytes(png[at + 8 + length : at + 12 + length])
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (1, 0)
    lines, stride = zlib.decompress(chunks[b"IDAT"]), 1 + -(-width // 8)
    grey = bytearray()
    for y in range(height):
        line = lines[y * stride : (y + 1) * stride]
        assert line[0] == 0
        bits = f"{int.from_bytes(line[1:]):0{8 * (stride - 1)}b}"
        grey += bytes(255 if bit == "1" else 0 for bit in bits[:width])
    return memoryview(grey).cast("B", (height, width))


def drawn(svg: str) -> memoryview:
    """Return the grey pixels of the SVG's runs, four pixels a module."""
    root = ET.fromstring(svg)
    side = int(root.attrib["viewBox"].split()[2])
    grey = bytearray(b"\xff" * (side * side * 16))
    for run in root[1].attrib["d"].split("z")[:-1]:
        x, rest = run[1:].split(" ")
        y, length = rest.split("v")[0].split("h")
        for line in range(int(y) * 4, int(y) * 4 + 4):
            start = line * side * 4 + int(x) * 4
            grey[start : start + int(length) * 4] = bytes(int(length) * 4)
    return memoryview(grey).cast("B", (side * 4, side * 4))


@pytest.mark.checklist("L3")
@pytest.mark.parametrize("name", CODES)
def test_a_png_reads_back_as_the_code_and_is_large_enough(name: str) -> None:
    pixels = pixels_of(qr.png(CODES[name]))
    [found] = zxingcpp.read_barcodes(pixels)
    assert found.text == CODES[name]
    assert pixels.shape[0] == pixels.shape[1] >= 300


@pytest.mark.checklist("L3")
@pytest.mark.parametrize("name", ["A", "F2", "G2"])
def test_an_svg_reads_back_as_the_code(name: str) -> None:
    [found] = zxingcpp.read_barcodes(drawn(qr.svg(CODES[name])))
    assert found.text == CODES[name]


def test_the_quiet_zone_is_four_modules_of_white() -> None:
    pixels = pixels_of(qr.png(CODES["A"]))
    width = pixels.shape[0]
    dark = [(y, x) for y in range(width) for x in range(width) if pixels[y, x] == 0]
    top = min(y for y, _ in dark)
    left = min(x for _, x in dark)
    finder = bytes(pixels[top, x] for x in range(left, width)).index(255)
    module = finder // 7
    assert (top, left) == (4 * module, 4 * module)
    assert max(x for _, x in dark) == width - 4 * module - 1


def test_the_data_url_holds_the_png() -> None:
    head, body = qr.png_data_url(CODES["A"]).split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == qr.png(CODES["A"])
