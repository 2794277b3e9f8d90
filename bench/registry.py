"""Every bar of bars.md by its id, and which of them a tier contains."""

from collections.abc import Iterable, Sequence

from bench.bar import Bar, SizeName, Tier
from bench.bars import correctness, experience, performance, reliability, security

BARS: dict[str, Bar] = {
    bar.id: bar for chapter in (correctness, performance, reliability, security, experience) for bar in chapter.BARS
}

NIGHTLY_AT_TARGET = {"C1", "C7", "C9", "C13", "C20", "R1", "R2", "R4"}
"""What the nightly tier runs at target size; everything else it runs at gate size (bars.md §10)."""


class UnknownBar(Exception):  # noqa: N818 - names what happened
    """An id that bars.md does not have."""


def find(ids: Iterable[str]) -> Sequence[Bar]:
    """Return the bars with *ids*, in the order of the document. Raises UnknownBar."""
    wanted = {text.strip().upper() for text in ids}
    unknown = sorted(wanted - BARS.keys())
    if unknown:
        raise UnknownBar(f"bars.md has no bar {', '.join(unknown)}")
    return [bar for bar in BARS.values() if bar.id in wanted]


def in_tier(tier: Tier) -> Sequence[Bar]:
    """Return the bars that *tier* contains."""
    return [bar for bar in BARS.values() if tier in bar.tiers]


def size_in(tier: Tier, bar: Bar) -> SizeName:
    """Return the size at which *tier* runs *bar*."""
    at_target = tier == "release" or (tier == "nightly" and bar.id in NIGHTLY_AT_TARGET)
    return "target" if at_target else "gate"
