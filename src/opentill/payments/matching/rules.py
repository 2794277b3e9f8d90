"""Comparing two lists of the same movements, line by line, by their names on the rail."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How the bank's list differs from ours."""

    MISSING = "missing"  # booked here, not in the bank's list
    EXTRA = "extra"  # in the bank's list, not booked here
    WRONG_AMOUNT = "wrong amount"
    DOUBLED = "doubled"  # the bank lists one movement again
    SPLIT = "split"  # the bank lists one movement in parts that add up


class Action(StrEnum):
    """What is proposed. Nothing is ever un-booked: the money that is in doubt goes to suspense."""

    READ = "read at the bank and book"
    SUSPEND = "move the difference to suspense"
    NONE = "nothing"


_ACTIONS: Final = {
    Kind.MISSING: Action.SUSPEND,
    Kind.EXTRA: Action.READ,
    Kind.WRONG_AMOUNT: Action.SUSPEND,
    Kind.DOUBLED: Action.SUSPEND,
    Kind.SPLIT: Action.NONE,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One movement on the account by its name on the rail; what came in counts positive, in units."""

    name: str
    units: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One movement on which the lists disagree. Amounts are sums of what each of them has under the name."""

    name: str
    kind: Kind
    ours_units: int
    bank_units: int

    @property
    def action(self) -> Action:
        return _ACTIONS[self.kind]

    @property
    def off_units(self) -> int:
        """Return by how much the bank has more than the books."""
        return self.bank_units - self.ours_units


def compare(
    ours: Iterable[Line], bank: Iterable[Line], *, known: Iterable[Line] = (), near: Collection[str] = ()
) -> Sequence[Difference]:
    """Return the differences between a day's lines, in order of their names.

    *known* are our lines of the days around it, *near* the names in the bank's lists of these days: a movement that
    each side counts to another day is no difference. One name may stand for money that came and for money that went.
    """
    expected, booked, listed = _by_name(ours), _by_name(known), _by_name(bank)
    found: list[Difference] = []
    for key in sorted(expected.keys() | listed.keys()):
        mine, theirs = expected.get(key) or booked.get(key) or [], listed.get(key, [])
        kind = _kind(mine, theirs)
        if kind is None or (kind is Kind.MISSING and key[0] in near):
            continue
        found.append(Difference(key[0], kind, sum(mine), sum(theirs)))
    return found


def _kind(mine: Sequence[int], theirs: Sequence[int]) -> Kind | None:
    """Return how the amounts under one name differ, None where they do not."""
    if sorted(mine) == sorted(theirs):
        return None
    if not theirs:
        return Kind.MISSING
    if not mine:
        return Kind.EXTRA
    if sum(mine) == sum(theirs):
        return Kind.SPLIT
    return Kind.DOUBLED if set(mine) == set(theirs) else Kind.WRONG_AMOUNT


def _by_name(lines: Iterable[Line]) -> Mapping[tuple[str, bool], list[int]]:
    grouped: defaultdict[tuple[str, bool], list[int]] = defaultdict(list)
    for line in lines:
        grouped[line.name, line.units > 0].append(line.units)
    return grouped
