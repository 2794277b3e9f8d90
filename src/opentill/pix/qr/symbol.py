"""Encoding text as a QR symbol: byte mode, error correction M (ISO/IEC 18004).

A cash-in answers with an image, so encoding is on its path. Whole symbols are single integers here and every step
works on all modules at once, which takes a tenth of the time of going through them one by one.

The first code of a size takes some 25 ms, as what its bytes turn over is worked out then; later ones take less than a
tenth of a millisecond, and go by what was kept: 20 MB of it at most, and up to 2 MB of tables for each size in use.
"""

from functools import cache, lru_cache, reduce
from itertools import repeat
from operator import getitem, xor
from typing import Final

from opentill.pix.qr.layout import BLOCKS, Layout, count_bits, layout, version_for

BYTE_MODE: Final = 0b0100
PADDING: Final = b"\xec\x11"
FIELD: Final = 0x11D  # the polynomial of GF(256)
TURNED_KEPT: Final = 16_384  # symbols of up to 1 KB; codes of one size have some 40 kinds of bytes in 200 places


def rows(text: str) -> list[str]:
    """Return the rows of a symbol, `1` for a dark module. Raises `ValueError` above 560 bytes."""
    data = text.encode()
    plan = layout(version_for(len(data)))
    turned = map(_turned, repeat(plan.version), range(len(data)), data)
    bare = reduce(xor, turned, _without_text(plan.version, len(data)))
    best = min((bare ^ mask for mask in plan.masks), key=lambda symbol: penalty(symbol, plan))
    drawn = f"{best:b}".zfill(plan.side**2)
    return [drawn[start : start + plan.side] for start in range(0, len(drawn), plan.side)]


def penalty(symbol: int, plan: Layout) -> int:
    """Return how hard a symbol is to read: long runs, blocks, false finders, too dark or too light."""
    side = plan.side
    unlike_left = (symbol ^ symbol >> 1) & plan.within_row
    unlike_above = (symbol ^ symbol >> side) & plan.below_top
    like_left, like_above = unlike_left ^ plan.within_row, unlike_above ^ plan.below_top
    blocks = (like_left & like_above & like_left >> side).bit_count()
    lines = _lines(symbol, like_left, unlike_left, 1) + _lines(symbol, like_above, unlike_above, side)
    imbalance = abs(20 * symbol.bit_count() - 10 * side**2) // side**2
    return lines + 3 * blocks + 10 * imbalance


@lru_cache(TURNED_KEPT)
def _turned(version: int, number: int, value: int) -> int:
    """Return the modules that one byte of the text turns over by having a value other than zero.

    A symbol before its mask is a sum: each bit of the text turns the same modules over, those of the error correction
    too, whatever the others are. And texts are alike: of a merchant's codes only the end of the location differs.
    """
    plan = layout(version)
    bits_after = 8 * (plan.data_codewords - number - 1) - 4 - count_bits(version)
    return _placed((value << bits_after).to_bytes(plan.data_codewords), plan) ^ _empty(version)


@cache
def _empty(version: int) -> int:
    """Return the symbol of nothing but zeros."""
    plan = layout(version)
    return _placed(bytes(plan.data_codewords), plan)


@cache
def _without_text(version: int, length: int) -> int:
    """Return the symbol of a text of zeros."""
    plan = layout(version)
    return _placed(_padded(bytes(length), plan), plan)


def _placed(content: bytes, plan: Layout) -> int:
    """Return the symbol of data codewords, before a mask."""
    bits = f"{int.from_bytes(_codewords(content, plan)):b}".zfill(8 * (plan.free_bits // 8)).ljust(plan.free_bits, "0")
    return int("".join(plan.place(bits + "01")), 2)


def _codewords(content: bytes, plan: Layout) -> bytes:
    """Return data and error correction as they follow each other in the symbol: the blocks interleaved."""
    correction, shorter, length, longer = BLOCKS[plan.version - 1]
    count = shorter + longer
    blocks = [content[n * length : (n + 1) * length] for n in range(shorter)]
    start = shorter * length
    blocks += [content[start + n * (length + 1) : start + (n + 1) * (length + 1)] for n in range(longer)]
    woven = bytearray(count * (length + correction) + longer)
    tail = count * length + longer
    for number, block in enumerate(blocks):
        woven[number : count * length : count] = block[:length]
        woven[tail + number :: count] = _correction(block, correction)
    woven[count * length : tail] = bytes(block[length] for block in blocks[shorter:])
    return bytes(woven)


def _padded(data: bytes, plan: Layout) -> bytes:
    """Return mode, length, data and padding: exactly the data codewords of the size."""
    head = BYTE_MODE << count_bits(plan.version) | len(data)
    # Mode and count fill whole bytes but four bits, which a terminator of four zero bits makes up for.
    content = (head << 8 * len(data) | int.from_bytes(data)) << 4
    content_bytes = content.to_bytes((4 + count_bits(plan.version) + 8 * len(data) + 4) // 8)
    missing = plan.data_codewords - len(content_bytes)
    return content_bytes + (PADDING * (missing // 2 + 1))[:missing]


def _correction(block: bytes, length: int) -> bytes:
    """Return the Reed-Solomon codewords of a block: the rest of a division, to which each byte adds its own share."""
    return reduce(xor, map(getitem, _shares(len(block), length), block)).to_bytes(length)


@cache
def _shares(count: int, length: int) -> tuple[tuple[int, ...], ...]:
    """Return what each value of each byte of a block of *count* adds to its *length* codewords of error correction."""
    multiples = _generator_multiples(length)
    top, kept = 8 * (length - 1), (1 << 8 * (length - 1)) - 1
    shares = [multiples]
    for _ in range(count - 1):  # a byte further from the end is divided once more
        shares.append(tuple((rest & kept) << 8 ^ multiples[rest >> top] for rest in shares[-1]))
    return tuple(reversed(shares))


@cache
def _generator_multiples(length: int) -> tuple[int, ...]:
    """Return the generator polynomial of *length* roots times each element of the field, as one number each."""
    generator = [1]
    root = 1
    for _ in range(length):
        shifted = [*generator, 0]
        for place, factor in enumerate(generator):
            shifted[place + 1] ^= _times(factor, root)
        generator, root = shifted, _times(root, 2)
    return tuple(int.from_bytes(bytes(_times(factor, element) for factor in generator[1:])) for element in range(256))


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = left << 1 ^ (FIELD if left & 0x80 else 0)
        right >>= 1
    return product


def _lines(dark: int, like: int, unlike: int, step: int) -> int:
    """Return the penalty of the lines in one direction, by which modules are like the one before them.

    For runs: 3 for five modules of a kind, 1 for each more. And 40 for each 1:1:3:1:1 of a finder that stands before
    or after four light modules.
    """
    pairs = like & like >> step
    fives = pairs & pairs >> 2 * step
    runs = 3 * fives.bit_count() - 2 * (fives & fives >> step).bit_count()

    edges = unlike & unlike >> step
    finders = dark & edges & pairs >> 2 * step & edges >> 4 * step
    fours = pairs & like >> 2 * step
    after_light = finders & (unlike & fours >> step) >> 6 * step
    before_light = fours & (unlike & finders >> step) >> 3 * step
    return runs + 40 * (after_light.bit_count() + before_light.bit_count())
