"""The statements of one request, ready to be run again with fresh values.

A parameter is either a whole number with a rule of its own (an instant, a row id that an earlier statement
returned), or text made of pieces: what is the same in every request, what belongs to the merchant, and what is
new in every request. `bench/renewal.py` finds out which is which; the raw loops (L3 to L5) and the runner (P4)
run the result, and `bench/limits/pgbench.py` (L6) writes it as a script.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

HEX = "0123456789abcdef"
DIGITS = "0123456789"
ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Piece:
    """A part of a parameter.

    `same` has its text or number in *values*; `merchant` has one for each merchant there; `new` is a variable of
    the request; `result` is what statement *statement* returned in column *column* of its first row.
    """

    kind: Literal["same", "merchant", "new", "result"]
    values: Sequence[Any] = ()
    variable: int = 0
    statement: int = 0
    column: int = 0


@dataclass(frozen=True)
class Variable:
    """What is new in each request.

    `random` follows *shape*, in which each character stands for itself or, where it is one of h (hex), d (digit)
    and a (letter or digit) and *mask* says so, for a random one. `instant` is now, in units of *scale* per second,
    plus *offset_us*. `timed` is a random shape behind the Unix milliseconds as 12 hex digits.
    """

    kind: Literal["random", "instant", "timed"]
    shape: str = ""
    mask: str = ""
    scale: int = 1_000_000
    offset_us: int = 0


@dataclass(frozen=True)
class Parameter:
    """How to make one parameter: pieces joined to text, to bytes, or a single piece as it is."""

    form: Literal["as is", "text", "bytes"]
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Statement:
    """One statement: how the product called it, its SQL with :name parameters, and whether it returned rows."""

    call: str
    sql: str
    parameters: Mapping[str, Parameter]
    returned: int
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Unit:
    """What the product did in one transaction."""

    kind: Literal["write", "read"]
    statements: Sequence[Statement]


@dataclass(frozen=True)
class Request:
    """Everything the product asked of its database for one request."""

    units: Sequence[Unit]
    variables: Sequence[Variable]
    merchants: int

    @property
    def statements(self) -> Sequence[Statement]:
        return [statement for unit in self.units for statement in unit.statements]


@dataclass(slots=True)
class Step:
    """A statement with its parameters filled in; *patches* name those that an earlier statement returns."""

    call: str
    sql: str
    params: dict[str, Any]
    patches: Sequence[tuple[str, int, int]]
    number: int


@dataclass(slots=True)
class Filled:
    """One transaction, ready to run."""

    kind: str
    steps: list[Step] = field(default_factory=list)


class Filler:
    """Fills requests with fresh values, each for a merchant chosen by chance."""

    def __init__(self, request: Request, seed: int | None = None) -> None:
        self.request = request
        self.chance = random.Random(seed)
        self.makers = [self.maker(variable) for variable in request.variables]

    def fill(self) -> list[Filled]:
        """Return the request's transactions with values nobody has used yet."""
        values = [make() for make in self.makers]
        merchant = self.chance.randrange(self.request.merchants)
        filled, number = [], 0
        for unit in self.request.units:
            filled.append(Filled(unit.kind))
            for statement in unit.statements:
                filled[-1].steps.append(self.step(statement, number, values, merchant))
                number += 1
        return filled

    def step(self, statement: Statement, number: int, values: Sequence[Any], merchant: int) -> Step:
        params, patches = {}, []
        for name, parameter in statement.parameters.items():
            first = parameter.pieces[0] if parameter.pieces else None
            if first is not None and first.kind == "result" and parameter.form == "as is":
                patches.append((name, first.statement, first.column))
                continue
            params[name] = self.value(parameter, values, merchant)
        return Step(statement.call, statement.sql, params, patches, number)

    def value(self, parameter: Parameter, values: Sequence[Any], merchant: int) -> Any:
        parts = [self.part(piece, values, merchant) for piece in parameter.pieces]
        if parameter.form == "as is":
            return parts[0]
        text = "".join(map(str, parts))
        return text.encode() if parameter.form == "bytes" else text

    def part(self, piece: Piece, values: Sequence[Any], merchant: int) -> Any:
        match piece.kind:
            case "same":
                return piece.values[0]
            case "merchant":
                return piece.values[merchant]
            case "new":
                return values[piece.variable]
            case "result":
                return piece.values[0]  # inside a text, the recorded id does as well as any

    def maker(self, variable: Variable) -> Callable[[], Any]:
        if variable.kind == "instant":
            return lambda: (time.time_ns() // 1000 + variable.offset_us) * variable.scale // 1_000_000
        alphabets = {"h": HEX, "d": DIGITS, "a": ALNUM}
        pools = [
            alphabets[shape] if mask == "x" else shape
            for shape, mask in zip(variable.shape, variable.mask, strict=True)
        ]
        chance = self.chance.choice
        if variable.kind == "timed":
            return lambda: timed(pools, chance)
        return lambda: "".join([pool if len(pool) == 1 else chance(pool) for pool in pools])


def timed(pools: Sequence[str], chance: Callable[[str], str]) -> str:
    """Return hex digits whose first twelve are the Unix milliseconds; dashes of a UUID stay where they are."""
    clock, at, made = f"{time.time_ns() // 1_000_000:012x}", 0, []
    for pool in pools:
        if at < len(clock) and pool != "-":
            made.append(clock[at])
            at += 1
        else:
            made.append(pool if len(pool) == 1 else chance(pool))
    return "".join(made)


def save(request: Request, path: Path) -> None:
    path.write_text(json.dumps(asdict(request), indent=1, default=_encoded))


def load(path: Path) -> Request:
    """Return the request that `save` wrote."""
    found = json.loads(path.read_text(), object_hook=_decoded)
    units = [
        Unit(unit["kind"], [Statement(**{**text, "parameters": _parameters(text)}) for text in unit["statements"]])
        for unit in found["units"]
    ]
    return Request(units, [Variable(**variable) for variable in found["variables"]], found["merchants"])


def _parameters(statement: Mapping[str, Any]) -> dict[str, Parameter]:
    return {
        name: Parameter(text["form"], [Piece(**piece) for piece in text["pieces"]])
        for name, text in statement["parameters"].items()
    }


def _encoded(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"{type(value)} cannot be written")


def _decoded(found: dict[str, Any]) -> object:
    return bytes.fromhex(found["hex"]) if found.keys() == {"hex"} else found
