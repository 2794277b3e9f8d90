"""Reading a PNG of the browser, as a phone's camera would."""

import struct
import zlib

import zxingcpp


def read_qr(png: bytes) -> str:
    """Return the text of the only QR code in a picture."""
    width, height, grey = luminance(png)
    [found] = zxingcpp.read_barcodes(memoryview(grey).cast("B", (height, width)))
    return str(found.text)


def luminance(png: bytes) -> tuple[int, int, bytearray]:
    """Return width, height and one byte of brightness a pixel, of an 8-bit RGB or RGBA picture."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) in ((8, 2), (8, 6)), "not a picture of Chromium"
    channels = 3 if colour == 2 else 4
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    raw, stride, grey = zlib.decompress(data), width * channels, bytearray()
    above = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        line = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        grey += bytes((line[x] + 2 * line[x + 1] + line[x + 2]) // 4 for x in range(0, stride, channels))
        above = line
    return width, height, grey


def unfiltered(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    """Undo the filter of one scan line (PNG, part 9)."""
    for x in range(len(line)):
        left = line[x - channels] if x >= channels else 0
        corner = above[x - channels] if x >= channels else 0
        match kind:
            case 1:
                predicted = left
            case 2:
                predicted = above[x]
            case 3:
                predicted = (left + above[x]) // 2
            case 4:
                predicted = min((left, above[x], corner), key=lambda value: abs(left + above[x] - corner - value))
            case _:
                predicted = 0
        line[x] = (line[x] + predicted) & 0xFF
    return line
