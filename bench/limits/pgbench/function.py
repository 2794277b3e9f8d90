"""The same work as one SQL function: what PostgreSQL could do if the statements cost no round trips (L6)."""

import re

from bench.limits.pgbench.script import sql
from bench.statements import Request

NAME = "bench_request"
MERCHANT = re.compile(r":m\b")
VARIABLE = re.compile(r":v(\d+)\b")
RESULT = re.compile(r":r(\d+)_(\w+)")


def definition(request: Request) -> str:
    """Return the statement that creates the function; it takes the merchant's number and one number a variable."""
    arguments = ["bench_m bigint", *(f"bench_v{number} bigint" for number in variables(request))]
    body = []
    for number, statement in enumerate(request.statements):
        text = sql(statement, request)
        text = RESULT.sub(r"bench_r\1.\2", VARIABLE.sub(r"bench_v\1", MERCHANT.sub("bench_m", text)))
        body.append(f"{text} into bench_r{number};" if statement.call != "run" else f"{text};")
    records = [f"bench_r{number} record;" for number in range(len(request.statements))]
    return "\n".join(
        [
            f"create function {NAME}({', '.join(arguments)}) returns void language plpgsql as $bench$",
            "declare",
            *records,
            "begin",
            *body,
            "end $bench$",
        ]
    )


def script(request: Request) -> str:
    """Return the pgbench script that calls the function."""
    made = [f"\\set v{number} random(1, 9000000000000000000)" for number in variables(request)]
    arguments = ", ".join([":m", *(f":v{number}" for number in variables(request))])
    return "\n".join([f"\\set m random(1, {request.merchants})", *made, f"select {NAME}({arguments});"]) + "\n"


def variables(request: Request) -> list[int]:
    return [number for number, variable in enumerate(request.variables) if variable.kind != "instant"]
