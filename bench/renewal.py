"""Finds out how to repeat a recorded request with fresh values.

Several merchants make the same request twice. What is equal everywhere is constant; what is equal in both
requests of a merchant is the merchant's; the rest is new in each request: an instant if it lies near now, a
time-ordered id if it begins with the time, what an earlier statement returned if it is equal to it, and else
random text of the same shape. Text that occurs in several places stays the same in all of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.statements import DIGITS, HEX, Parameter, Piece, Request, Statement, Unit, Variable

NEAR_US = 400 * 86_400 * 1_000_000
"""A number this close to now, as an instant, is taken for one."""
JITTER_US = 5_000_000
"""Instants with the same meaning differ by less than this from one request to the next."""
TIMED_MS = 60_000
WORD = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9]+|[^A-Za-z0-9]")


class Unrepeatable(Exception):  # noqa: N818 - names what happened
    """The recorded requests differ in a way this module does not understand."""


@dataclass(frozen=True)
class Traced:
    """One statement as the product ran it."""

    call: str
    sql: str
    params: Mapping[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class TracedUnit:
    """One transaction as the product ran it; *at* is its instant in microseconds."""

    kind: str
    at: int
    statements: Sequence[Traced]


Recording = Sequence[TracedUnit]


def renewable(recordings: Sequence[tuple[Recording, Recording]]) -> Request:
    """Return the request that *recordings*, two of each merchant, have in common. Raises Unrepeatable."""
    every = [recording for pair in recordings for recording in pair]
    flat = [[(unit.at, traced) for unit in recording for traced in unit.statements] for recording in every]
    if len({tuple(traced.sql for _, traced in statements) for statements in flat}) != 1:
        raise Unrepeatable("the requests did not run the same statements")
    analysis = Analysis(flat)
    statements = [analysis.statement(number) for number in range(len(flat[0]))]
    units, at = [], 0
    for unit in every[0]:
        units.append(Unit(unit.kind, statements[at : at + len(unit.statements)]))  # type: ignore[arg-type]
        at += len(unit.statements)
    return Request(units, analysis.variables, len(recordings))


@dataclass
class Analysis:
    """Looks at the same parameter of every recorded request; two recordings in a row belong to one merchant."""

    flat: Sequence[Sequence[tuple[int, Traced]]]
    variables: list[Variable] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def statement(self, number: int) -> Statement:
        first = self.flat[0][number][1]
        parameters = {name: self.parameter(number, name) for name in first.params}
        return Statement(first.call, first.sql, parameters, len(first.rows), first.columns)

    def parameter(self, number: int, name: str) -> Parameter:
        values = [statements[number][1].params[name] for statements in self.flat]
        simple = self.simple(values)
        if simple is not None:
            return Parameter("as is", [simple])
        returned = self.returned(values, number)
        if returned is not None:
            return Parameter("as is", [returned])
        if all(isinstance(value, int) for value in values):
            return Parameter("as is", [self.instant(values, number, name)])
        if all(isinstance(value, str) for value in values):
            return self.text(values, number, "text")
        if all(isinstance(value, bytes) for value in values):
            return self.content(values, number)
        raise Unrepeatable(f"parameter {name} of statement {number} changes in a way that cannot be repeated")

    def simple(self, values: Sequence[Any]) -> Piece | None:
        """Return the piece for what never changes, or changes with the merchant only."""
        if all(value == values[0] for value in values):
            return Piece("same", [values[0]])
        if all(a == b for a, b in zip(values[::2], values[1::2], strict=True)):
            return Piece("merchant", list(values[::2]))
        return None

    def returned(self, values: Sequence[Any], number: int) -> Piece | None:
        """Return the piece for what an earlier statement of the same request returned in its first row."""
        for earlier in range(number):
            rows = [statements[earlier][1].rows for statements in self.flat]
            if not all(rows):
                continue
            for column in range(len(rows[0][0])):
                if all(row[0][column] == value for row, value in zip(rows, values, strict=True)):
                    return Piece("result", [values[0]], statement=earlier, column=column)
        return None

    def instant(self, values: Sequence[int], number: int, name: str) -> Piece:
        found = self.instant_variable(values, number)
        if found is None:
            raise Unrepeatable(f"parameter {name} of statement {number} is neither an instant nor a returned id")
        return Piece("new", variable=found)

    def instant_variable(self, values: Sequence[int], number: int) -> int | None:
        for scale in (1_000_000, 1_000, 1):
            offsets = [
                value * 1_000_000 // scale - statements[number][0]
                for value, statements in zip(values, self.flat, strict=True)
            ]
            if all(abs(offset) < NEAR_US for offset in offsets) and max(offsets) - min(offsets) < JITTER_US:
                # Whole seconds, so that all instants meant to be "now" are one variable.
                offset = round(offsets[0] / 1_000_000) * 1_000_000
                return self.variable(f"instant {scale} {offset}", Variable("instant", scale=scale, offset_us=offset))
        return None

    def content(self, values: Sequence[bytes], number: int) -> Parameter:
        try:
            return self.text([value.decode() for value in values], number, "bytes")
        except UnicodeDecodeError:
            return Parameter("as is", [Piece("same", [values[0]])])

    def text(self, values: Sequence[str], number: int, form: str) -> Parameter:
        words = [WORD.findall(value) for value in values]
        if len({len(found) for found in words}) != 1:
            # Sealed text: no two are alike, none is ever compared, so one does for all.
            return Parameter("as is", [Piece("same", [values[0].encode() if form == "bytes" else values[0]])])
        pieces = [self.word(list(column), number) for column in zip(*words, strict=True)]
        return Parameter(form, merged(pieces))  # type: ignore[arg-type]

    def word(self, words: Sequence[str], number: int) -> Piece:
        simple = self.simple(words)
        if simple is not None:
            return simple
        if all(word.isdigit() for word in words):
            found = self.instant_variable([int(word) for word in words], number)
            if found is not None:
                return Piece("new", variable=found)
        return Piece("new", variable=self.variable(words[0], shape_of(words, self.flat[0][number][0] // 1000)))

    def variable(self, key: str, variable: Variable) -> int:
        """Return the number of the variable known as *key*, the same text being the same variable everywhere."""
        if key not in self.known:
            self.known[key] = len(self.variables)
            self.variables.append(variable)
        return self.known[key]


def shape_of(words: Sequence[str], now_ms: int) -> Variable:
    """Return a variable that makes words like *words*."""
    first = words[0]
    letters = "".join(words).replace("-", "")
    kind = "d" if set(letters) <= set(DIGITS) else "h" if set(letters) <= set(HEX) else "a"
    timed = kind in "dh" and len(first) >= 12 and near(first, now_ms)
    columns = [{word[at : at + 1] for word in words} for at in range(len(first))]
    shape = "".join(kind if len(column) > 1 else first[at] for at, column in enumerate(columns))
    mask = "".join("x" if len(column) > 1 else "." for column in columns)
    return Variable("timed" if timed else "random", shape, mask)


def near(word: str, now_ms: int) -> bool:
    digits = word.replace("-", "")[:12]
    return abs(int(digits, 16) - now_ms) < TIMED_MS


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbouring pieces that are the same everywhere."""
    result: list[Piece] = []
    for piece in pieces:
        if result and piece.kind == result[-1].kind == "same":
            result[-1] = Piece("same", [result[-1].values[0] + piece.values[0]])
        else:
            result.append(piece)
    return result
