"""Blocks of a long list, so that it is counted and paged in little time (docs/adr/0011).

A block is what lies between two numbers of an owner's list. A worker writes down how many rows of each kind it holds,
and the first and the last time among them. A list adds up what is written down, reads only the blocks that can hold
what it shows, and counts the others one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from opentill.kernel.clock import Instant

ROWS: Final = 1_000  # of an owner, in one block
END: Final = 2**62

T = TypeVar("T")


class Written(NamedTuple):
    """What is known of the block that ends at a number; None for what nobody has counted."""

    up_to: int
    oldest: Instant | None
    newest: Instant | None
    tally: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """Numbers above the first and up to the second; how many of them match, or None where that is not known."""

    above: int
    up_to: int
    matching: int | None


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks that may hold what a list shows, newest first, and how rows of one are counted that nobody counted."""

    found: Sequence[Block]
    count: Callable[[Block], int]

    def below(self, number: int | None) -> "Blocks":
        """Return what is left of the list below a number, where there is one."""
        if number is None:
            return self
        left = [
            block if block.up_to < number else Block(block.above, number - 1, None)
            for block in self.found
            if block.above < number - 1
        ]
        return Blocks(left, self.count)

    def total(self) -> int:
        """Return how many rows the list has."""
        return sum(self.count(block) if block.matching is None else block.matching for block in self.found)

    def page(self, read: Callable[[Block, int, int], Sequence[T]], *, offset: int, limit: int) -> list[T]:
        """Return up to *limit* rows after *offset* of them. *read* takes a block, a limit and an offset."""
        rows: list[T] = []
        for block in self.found:
            if offset:
                matching = self.count(block) if block.matching is None else block.matching
                if matching <= offset:
                    offset -= matching
                    continue
            rows += read(block, limit - len(rows), offset)
            offset = 0
            if len(rows) == limit:
                break
        return rows


def between(
    written: Sequence[Written],
    since: Instant | None,
    until: Instant | None,
    matching: Callable[[str], int | None],
) -> Sequence[Block]:
    """Return the blocks that may hold rows of a span of time, newest first; neighbours nobody counted are one.

    *written* is all that is known of the list, newest first; *matching* reads how many rows of a tally are wanted.
    """
    found: list[Block] = []
    for block, before in zip([Written(END, None, None, None), *written], [*written, None], strict=True):
        above = before.up_to if before is not None else 0
        wanted = _wanted(block, since, until, matching)
        if wanted == 0:
            continue
        if found and wanted is None and found[-1].matching is None and found[-1].above == block.up_to:
            found[-1] = Block(above, found[-1].up_to, None)
        else:
            found.append(Block(above, block.up_to, wanted))
    return found


def _wanted(
    block: Written, since: Instant | None, until: Instant | None, matching: Callable[[str], int | None]
) -> int | None:
    """Return how many rows of a block the list shows, or None where only they can tell."""
    if block.oldest is None or block.newest is None:
        return None
    if (since is not None and block.newest < since) or (until is not None and block.oldest >= until):
        return 0
    whole = (since is None or block.oldest >= since) and (until is None or block.newest < until)
    return matching(block.tally) if whole and block.tally is not None else None
