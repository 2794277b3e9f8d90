"""Drawing a symbol: black and white, with its quiet zone, as PNG or SVG."""

import struct
import zlib
from base64 import b64encode
from typing import Final

from opentill.pix.qr.symbol import rows

QUIET_ZONE: Final = 4  # modules on each side
WIDTH_MIN: Final = 300  # pixels

COMPRESSION: Final = 2  # more takes much longer, and saves little: the lines repeat each other

_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_ONE_BIT_GREY: Final = bytes([1, 0, 0, 0, 0])
_SHADES: Final = bytes.maketrans(b"01", b"\xff\x00")  # of eight pixels


def png_data_url(code: str) -> str:
    """Return the code as a black and white PNG, at least 300 pixels wide, in a `data:` URL."""
    return f"data:image/png;base64,{b64encode(png(code)).decode()}"


def png(code: str) -> bytes:
    """Return the code as a black and white PNG, at least 300 pixels wide."""
    modules = rows(code)
    side = len(modules) + 2 * QUIET_ZONE
    wide = -(-WIDTH_MIN // (8 * side))  # bytes of a module in a line of pixels: lines are put together from whole ones
    width = 8 * wide * side
    margin = "0" * QUIET_ZONE
    blank = _scanlines("0" * side, wide) * QUIET_ZONE
    drawn = b"".join(_scanlines(margin + row + margin, wide) for row in modules)
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


def _scanlines(row: str, wide: int) -> bytes:
    """Return the lines of pixels of a row of modules, white as 1, each packed after the byte that says `no filter`."""
    line = row.replace("0", "0" * wide).replace("1", "1" * wide).encode().translate(_SHADES)
    return (b"\x00" + line) * (8 * wide)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _runs(row: str, y: int) -> str:
    path, at = "", 0
    while (start := row.find("1", at)) >= 0:
        at = row.find("0", start)
        at = len(row) if at < 0 else at
        path += f"M{start + QUIET_ZONE} {y}h{at - start}v1H{start + QUIET_ZONE}z"
    return path
