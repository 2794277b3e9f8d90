"""QR symbols: module for module those of another encoder, under the mask that is best by a slow, plain count."""

import random
import re
import string
from itertools import groupby

import pytest
import segno

from opentill.pix.qr.layout import VERSION_MAX, layout, version_for
from opentill.pix.qr.symbol import penalty, rows

CAPACITIES = [14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331, 362, 412, 450, 504, 560]


def drawn_by_segno(text: str, mask: int) -> list[str]:
    symbol = segno.make(text, error="m", mode="byte", micro=False, boost_error=False, mask=mask)
    return ["".join(map(str, row)) for row in symbol.matrix]


def text_of(length: int) -> str:
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))


def counted(modules: list[str]) -> int:
    """Count the penalty as the standard words it."""
    side = len(modules)
    lines = modules + ["".join(column) for column in zip(*modules, strict=True)]
    lengths = [len(list(run)) for line in lines for _, run in groupby(line)]
    runs = sum(length - 2 for length in lengths if length >= 5)
    blocks = sum(
        len({modules[y][x], modules[y][x + 1], modules[y + 1][x], modules[y + 1][x + 1]}) == 1
        for y in range(side - 1)
        for x in range(side - 1)
    )
    finders = sum(len(re.findall("(?=10111010000|00001011101)", line)) for line in lines)
    dark = "".join(modules).count("1")
    return runs + 3 * blocks + 40 * finders + 10 * int(abs(dark * 100 / side**2 - 50) / 5)


@pytest.mark.parametrize("length", CAPACITIES)
def test_a_full_symbol_of_each_size_is_that_of_another_encoder(length: int) -> None:
    """Full ones, because the other encoder begins its padding with a byte of its own."""
    text = text_of(length)
    assert rows(text) in [drawn_by_segno(text, mask) for mask in range(8)]


@pytest.mark.parametrize("length", [26, 180, 213, 287])
def test_texts_that_differ_in_a_byte_or_in_all_share_what_they_have_in_common(length: int) -> None:
    text = text_of(length)
    for other in (text, text[:-1] + "~", "~" + text[1:], text.swapcase(), text[::-1]):
        assert rows(other) in [drawn_by_segno(other, mask) for mask in range(8)]


def test_each_size_holds_exactly_what_the_standard_says() -> None:
    for version, capacity in enumerate(CAPACITIES, 1):
        assert version_for(capacity) == version
        assert version_for(capacity + 1) == version + 1 if version < VERSION_MAX else True
    with pytest.raises(ValueError, match="561 bytes"):
        rows("a" * 561)


@pytest.mark.parametrize("length", [14, 106, 180, 287])
def test_the_mask_is_the_one_with_the_least_penalty(length: int) -> None:
    text = text_of(length)
    assert counted(rows(text)) == min(counted(drawn_by_segno(text, mask)) for mask in range(8))


@pytest.mark.parametrize("length", [1, 14, 180, 504])
def test_the_fast_penalty_is_the_slow_one(length: int) -> None:
    modules = rows(text_of(length))
    assert penalty(int("".join(modules), 2), layout(version_for(length))) == counted(modules)


def test_a_symbol_of_one_colour_has_the_penalty_of_the_worst() -> None:
    plan = layout(1)
    modules = ["1" * 21] * 21
    assert penalty(2 ** (21 * 21) - 1, plan) == counted(modules) == 2 * 21 * 19 + 3 * 400 + 10 * 10
