"""BR Code, the text inside a PIX QR code: building, reading, checking (pix-rail.md §2)."""

from opentill.pix.brcode.building import build_dynamic, build_static, shown_text
from opentill.pix.brcode.objects import BadCode, crc
from opentill.pix.brcode.reading import Code, Kind, parse

__all__ = ["BadCode", "Code", "Kind", "build_dynamic", "build_static", "crc", "parse", "shown_text"]
