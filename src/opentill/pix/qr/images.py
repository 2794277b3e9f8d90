"""Drawing a symbol: black and white, with its quiet zone, as PNG or SVG."""

import struct
import zlib
from base64 import b64encode
from typing import Final

from opentill.pix.qr.symbol import rows

QUIET_ZONE: Final = 4  # modules on each side
WIDTH_MIN: Final = 300  # pixels

COMPRESSION: Final = 3  # more takes longer than the bytes it saves are worth

_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_ONE_BIT_GREY: Final = bytes([1, 0, 0, 0, 0])


def png_data_url(code: str) -> str:
    """Return the code as a black and white PNG, at least 300 pixels wide, in a `data:` URL."""
    return f"data:image/png;base64,{b64encode(png(code)).decode()}"


def png(code: str) -> bytes:
    """Return the code as a black and white PNG, at least 300 pixels wide."""
    modules = rows(code)
    side = len(modules) + 2 * QUIET_ZONE
    scale = -(-WIDTH_MIN // side)
    width = side * scale
    blank = _scanline("", width, scale) * (QUIET_ZONE * scale)
    drawn = b"".join(_scanline(row, width, scale) * scale for row in modules)
    return (
        _PNG_HEAD
        + _chunk(b"IHDR", struct.pack(">II", width, width) + _ONE_BIT_GREY)
        + _chunk(b"IDAT", zlib.compress(blank + drawn + blank, COMPRESSION))
        + _chunk(b"IEND", b"")
    )


def svg(code: str) -> str:
    """Return the code as an `svg` element that takes the size its page gives it.

    One path of horizontal runs. It carries no style, so a strict content security policy lets it be.
    """
    modules = rows(code)
    side = len(modules) + 2 * QUIET_ZONE
    runs = "".join(_runs(row, y) for y, row in enumerate(modules, QUIET_ZONE))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path fill="#000" d="{runs}"/></svg>'
    )


def _scanline(row: str, width: int, scale: int) -> bytes:
    """Return one line of pixels, white as 1, packed after the byte that says `no filter`."""
    modules = row.center(width // scale, "0")
    light = modules.replace("1", "d").replace("0", "1" * scale).replace("d", "0" * scale)
    bits = light.ljust(-(-width // 8) * 8, "0")
    return b"\x00" + int(bits, 2).to_bytes(len(bits) // 8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _runs(row: str, y: int) -> str:
    path, at = "", 0
    while (start := row.find("1", at)) >= 0:
        at = row.find("0", start)
        at = len(row) if at < 0 else at
        path += f"M{start + QUIET_ZONE} {y}h{at - start}v1H{start + QUIET_ZONE}z"
    return path
