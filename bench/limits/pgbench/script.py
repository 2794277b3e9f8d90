"""Writes a recorded request as a pgbench script.

pgbench has whole numbers as variables and nothing else, so text that is new in each request is made by the server
from a random number: hex digits come from md5, instants and time-ordered ids from the transaction's own instant.
pgbench looks for variables inside quotes too, so no colon of a value may stand in the script as it is.
"""

import re
from collections.abc import Sequence
from typing import Any

from bench.statements import Parameter, Piece, Request, Statement, Variable
from opentill.db.statement import numbered

RANDOM_MAX = 9_000_000_000_000_000_000
MD5_LENGTH = 32
NUMBER = re.compile(r"\$(\d+)")
INSTANT = "cast(extract(epoch from now()) * {scale} as bigint)"
CLOCK = "lpad(to_hex(cast(extract(epoch from now()) * 1000 as bigint)), 12, '0')"


def script(request: Request) -> str:
    """Return the whole script: variables, then each transaction with its statements."""
    lines = [f"\\set m random(1, {request.merchants})"]
    lines += [
        f"\\set v{number} random(1, {RANDOM_MAX})"
        for number, variable in enumerate(request.variables)
        if variable.kind != "instant"
    ]
    needed, number = referenced(request), 0
    for unit in request.units:
        framed = unit.kind == "write" or len(unit.statements) > 1
        lines += ["begin;"] if framed else []
        for statement in unit.statements:
            end = f" \\gset r{number}_" if number in needed else ";"
            lines.append(sql(statement, request) + end)
            number += 1
        lines += ["commit;"] if framed else []
    return "\n".join(lines) + "\n"


def referenced(request: Request) -> set[int]:
    """Return the numbers of the statements whose answer a later one needs."""
    return {
        piece.statement
        for statement in request.statements
        for parameter in statement.parameters.values()
        for piece in parameter.pieces
        if piece.kind == "result" and parameter.form == "as is"
    }


def sql(statement: Statement, request: Request) -> str:
    """Return the statement with an expression in place of each parameter."""
    text, names = numbered(statement.sql)
    made = [expression(statement.parameters[name], request) for name in names]
    return NUMBER.sub(lambda found: made[int(found[1]) - 1], text.decode()).strip()


def expression(parameter: Parameter, request: Request) -> str:
    if parameter.form == "as is":
        return alone(parameter.pieces[0], request)
    text = " || ".join(part(piece, request) for piece in parameter.pieces)
    return f"convert_to({text}, 'UTF8')" if parameter.form == "bytes" else f"({text})"


def alone(piece: Piece, request: Request) -> str:
    """Return a parameter that is one piece, in its own type."""
    match piece.kind:
        case "same":
            return literal(piece.values[0])
        case "merchant":
            return chosen(piece.values)
        case "new":
            return made(request.variables[piece.variable], piece.variable)
        case "result":
            column = request.statements[piece.statement].columns[piece.column]
            return f":r{piece.statement}_{column}"


def part(piece: Piece, request: Request) -> str:
    """Return a piece of a longer text."""
    if piece.kind == "result":
        return f"cast({literal(str(piece.values[0]))} as text)"
    return f"cast({alone(piece, request)} as text)"


def literal(value: Any) -> str:
    """Return *value* as a constant without a colon in it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case bytes():
            return f"cast(E'\\\\x{value.hex()}' as bytea)"
        case _:
            escaped = str(value).replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
            return "E'" + escaped.replace(":", "\\x3a") + "'"


def chosen(values: Sequence[Any]) -> str:
    """Return the value of the request's merchant."""
    kind = "bigint" if all(isinstance(value, int) for value in values) else "text"
    listed = ", ".join(literal(value) for value in values)
    return f"(cast(array[{listed}] as {kind}[]))[cast(:m as integer)]"


def made(variable: Variable, number: int) -> str:
    """Return what is new in each request."""
    if variable.kind == "instant":
        offset = variable.offset_us * variable.scale // 1_000_000
        return f"({INSTANT.format(scale=variable.scale)} + {offset})"
    pieces, clock = [], 12 if variable.kind == "timed" else 0
    at, random_at, shape = 0, 0, variable.shape
    while at < len(shape):
        length = run_length(variable, at, clock)
        if clock and shape[at] != "-":
            pieces.append(f"substr({CLOCK}, {13 - clock}, {length})")
            clock -= length
        elif variable.mask[at] == "x":
            pieces.append(random_text(number, shape[at], random_at, length))
            random_at += length
        else:
            pieces.append(literal(shape[at : at + length]))
        at += length
    return "(" + " || ".join(pieces) + ")"


def run_length(variable: Variable, at: int, clock: int) -> int:
    """Return how many characters from *at* on are made the same way."""
    shape, mask = variable.shape, variable.mask
    if shape[at] == "-":
        return 1
    end = at
    while end < len(shape) and shape[end] != "-":
        if clock:
            if end - at == clock:
                break
        elif mask[end] != mask[at]:
            break
        end += 1
    return end - at


def random_text(number: int, kind: str, start: int, length: int) -> str:
    """Return *length* characters of the stream that belongs to variable *number*, from *start* on."""
    block, offset = divmod(start, MD5_LENGTH)
    if kind == "d":
        stream = f"lpad(cast(:v{number} as text), {offset + length}, '0')"
    else:
        blocks = range(block, (start + length - 1) // MD5_LENGTH + 1)
        stream = "(" + " || ".join(f"md5(cast(:v{number} as text) || '{block}')" for block in blocks) + ")"
    return f"substr({stream}, {offset + 1}, {length})"
