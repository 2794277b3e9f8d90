"""Where everything goes in a QR symbol of one size, error correction M (ISO/IEC 18004).

A symbol is one integer, a bit for each module, row by row from the top left, which is the highest bit. What does
not depend on the content is worked out once for each size and kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, Final

# For each version from 1: codewords of error correction in a block; blocks and data codewords of the shorter
# kind; blocks of the kind that holds one more.
BLOCKS: Final = (
    (10, 1, 16, 0), (16, 1, 28, 0), (26, 1, 44, 0), (18, 2, 32, 0), (24, 2, 43, 0), (16, 4, 27, 0),
    (18, 4, 31, 0), (22, 2, 38, 2), (22, 3, 36, 2), (26, 4, 43, 1), (30, 1, 50, 4), (22, 6, 36, 2),
    (22, 8, 37, 1), (24, 4, 40, 5), (24, 5, 41, 5), (28, 7, 45, 3), (28, 10, 46, 1), (26, 9, 43, 4),
)  # fmt: skip
VERSION_MAX: Final = len(BLOCKS)

_FORMAT_GENERATOR: Final = 0x537
_FORMAT_MASK: Final = 0x5412
_VERSION_GENERATOR: Final = 0x1F25
_MASKS: Final[tuple[Callable[[int, int], bool], ...]] = (
    lambda x, y: (x + y) % 2 == 0,
    lambda x, y: y % 2 == 0,
    lambda x, y: x % 3 == 0,
    lambda x, y: (x + y) % 3 == 0,
    lambda x, y: (x // 3 + y // 2) % 2 == 0,
    lambda x, y: x * y % 2 + x * y % 3 == 0,
    lambda x, y: (x * y % 2 + x * y % 3) % 2 == 0,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2 == 0,
)

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """The fixed part of a size, ready to use.

    *place* picks each module from the content's bits followed by `01`; *masks* are the eight patterns, each
    with the format bits that name it; *within_row* marks modules that have one to their left, *below_top* those
    that have one above.
    """

    version: int
    side: int
    place: Callable[[str], tuple[Any, ...]]
    masks: tuple[int, ...]
    within_row: int
    below_top: int
    free_bits: int

    @property
    def data_codewords(self) -> int:
        _, shorter, codewords, longer = BLOCKS[self.version - 1]
        return shorter * codewords + longer * (codewords + 1)


def version_for(length: int) -> int:
    """Return the smallest version that holds *length* bytes. Raises `ValueError` above the largest."""
    for version in range(1, VERSION_MAX + 1):
        _, shorter, codewords, longer = BLOCKS[version - 1]
        bits = 8 * (shorter * codewords + longer * (codewords + 1))
        if 4 + count_bits(version) + 8 * length <= bits:
            return version
    raise ValueError(f"{length} bytes are more than a code of version {VERSION_MAX} holds")


def count_bits(version: int) -> int:
    """Return how many bits say how many bytes follow."""
    return 8 if version < 10 else 16


@cache
def layout(version: int) -> Layout:
    """Return the layout of a version."""
    side = 17 + 4 * version
    fixed = _fixed(version, side)
    reserved = set(_format_cells(side, 0))
    free = [cell for cell in _zigzag(side) if cell not in fixed and cell not in reserved]
    position = {cell: number for number, cell in enumerate(free)}
    cells = [(x, y) for y in range(side) for x in range(side)]
    dark, light = len(free) + 1, len(free)
    picked = [position.get(cell, dark if fixed.get(cell) else light) for cell in cells]
    return Layout(
        version=version,
        side=side,
        place=itemgetter(*picked),
        masks=tuple(_mask(number, side, position) for number in range(len(_MASKS))),
        within_row=_number(side, {(x, y) for x, y in cells if x}),
        below_top=_number(side, {(x, y) for x, y in cells if y}),
        free_bits=len(free),
    )


def _fixed(version: int, side: int) -> dict[Cell, bool]:
    """Return the modules that are the same in every symbol of a version, True for dark."""
    found: dict[Cell, bool] = {}
    for n in range(side):
        found[n, 6] = found[6, n] = n % 2 == 0
    centres = _centres(version, side)
    last = len(centres) - 1
    for i, x in enumerate(centres):
        for j, y in enumerate(centres):
            if (i, j) not in ((0, 0), (0, last), (last, 0)):
                found |= _square(x, y, 2, (2, 0))
    for x, y in ((3, 3), (side - 4, 3), (3, side - 4)):
        finder = _square(x, y, 4, (3, 1, 0))
        found |= {(cx, cy): dark for (cx, cy), dark in finder.items() if 0 <= cx < side and 0 <= cy < side}
    found[8, side - 8] = True
    return found | _version_cells(version, side)


def _centres(version: int, side: int) -> list[int]:
    """Return the coordinates on which alignment patterns sit."""
    if version == 1:
        return []
    count = version // 7 + 2
    step = (version * 8 + count * 3 + 5) // (count * 4 - 4) * 2
    return [6, *sorted(side - 7 - number * step for number in range(count - 1))]


def _square(x: int, y: int, radius: int, dark: tuple[int, ...]) -> dict[Cell, bool]:
    """Return rings around a centre, those at the named distances dark."""
    span = range(-radius, radius + 1)
    return {(x + dx, y + dy): max(abs(dx), abs(dy)) in dark for dx in span for dy in span}


def _version_cells(version: int, side: int) -> dict[Cell, bool]:
    if version < 7:
        return {}
    bits = version << 12 | _remainder(version, 12, _VERSION_GENERATOR)
    found = {}
    for number in range(18):
        across, along = side - 11 + number % 3, number // 3
        found[across, along] = found[along, across] = bool(bits >> number & 1)
    return found


def _format_cells(side: int, mask: int) -> dict[Cell, bool]:
    """Return the two copies of the format: level M, whose number is 0, and the mask."""
    bits = (mask << 10 | _remainder(mask, 10, _FORMAT_GENERATOR)) ^ _FORMAT_MASK
    near = [(8, n) for n in (0, 1, 2, 3, 4, 5, 7, 8)] + [(n, 8) for n in (7, 5, 4, 3, 2, 1, 0)]
    far = [(side - 1 - n, 8) for n in range(8)] + [(8, side - 7 + n) for n in range(7)]
    return {cell: bool(bits >> number & 1) for copy in (near, far) for number, cell in enumerate(copy)}


def _remainder(value: int, degree: int, generator: int) -> int:
    """Return the check bits of a BCH code."""
    rest = value << degree
    while rest.bit_length() > degree:
        rest ^= generator << rest.bit_length() - degree - 1
    return rest


def _zigzag(side: int) -> Iterator[Cell]:
    """Yield the modules in the order in which content fills them: two columns at a time, up and down."""
    upward = True
    for right in [*range(side - 1, 6, -2), *range(5, 0, -2)]:
        for row in range(side):
            y = side - 1 - row if upward else row
            yield right, y
            yield right - 1, y
        upward = not upward


def _mask(number: int, side: int, free: dict[Cell, int]) -> int:
    inverted = {(x, y) for x, y in free if _MASKS[number](x, y)}
    named = {cell for cell, dark in _format_cells(side, number).items() if dark}
    return _number(side, inverted | named)


def _number(side: int, cells: set[Cell]) -> int:
    return sum(1 << side * side - 1 - (y * side + x) for x, y in cells)
