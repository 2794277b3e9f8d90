"""L3 and L4: the product's own statements in a bare sqlite3 loop; no HTTP, no threads, the same pragmas.

L3 commits each transaction; L4 (`--group 64`) puts that many into one commit, a savepoint each. Values are made
before the clock starts, so only SQLite is measured.
"""

import argparse
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.load import quantile
from bench.statements import Filled, Filler, Request, Step, load

LEAD_S = 0.3
PRAGMAS = (
    "journal_mode = wal",
    "synchronous = full",
    "foreign_keys = on",
    "recursive_triggers = on",
    "temp_store = memory",
    "cache_size = -32768",
    "wal_autocheckpoint = 8000",
    "journal_size_limit = 67108864",
)
"""What the product sets (`opentill.db.sqlite.connect`); `bench/audit.py` compares the two."""


def connect(path: Path) -> sqlite3.Connection:
    """Open *path* with the pragmas of the product."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=1024)
    for pragma in PRAGMAS:
        connection.execute(f"pragma {pragma}")
    return connection


def measure(path: Path, request: Request, *, seconds: float, group: int) -> dict[str, Any]:
    """Run *request* for *seconds*; return requests per second and the p50 of a commit in ms."""
    connection, filler = connect(path), Filler(request)
    clock(connection, filler, group, LEAD_S)
    times = clock(connection, filler, group, seconds)
    connection.close()
    each = sorted(1000 * spent for spent in times)
    return {"rate": len(times) * group / sum(times), "p50_ms": quantile(each, 0.5), "count": len(times) * group}


def clock(connection: sqlite3.Connection, filler: Filler, group: int, seconds: float) -> list[float]:
    """Return how long each commit took, until they took *seconds* together."""
    times, spent = [], 0.0
    while spent < seconds:
        requests = [filler.fill() for _ in range(group)]
        begin = time.perf_counter()
        if group > 1:
            together(connection, requests)
        else:
            alone(connection, requests[0])
        times.append(time.perf_counter() - begin)
        spent += times[-1]
    return times


def alone(connection: sqlite3.Connection, units: Sequence[Filled]) -> None:
    """L3: each transaction is committed."""
    execute = connection.execute
    rows: list[Any] = []
    for unit in units:
        execute("begin immediate" if unit.kind == "write" else "begin")
        for step in unit.steps:
            rows.append(perform(execute, step, rows))
        execute("commit")


def together(connection: sqlite3.Connection, requests: Sequence[Sequence[Filled]]) -> None:
    """L4: the requests share a commit, each in a savepoint."""
    execute = connection.execute
    execute("begin immediate")
    for units in requests:
        execute("savepoint unit")
        rows: list[Any] = []
        for unit in units:
            for step in unit.steps:
                rows.append(perform(execute, step, rows))
        execute("release unit")
    execute("commit")


def perform(execute: Callable[[str, Any], sqlite3.Cursor], step: Step, rows: Sequence[Any]) -> Any:
    """Run one statement and return its first row."""
    for name, statement, column in step.patches:
        step.params[name] = rows[statement][column]
    cursor = execute(step.sql, step.params)
    if step.call == "run":
        return None
    found = cursor.fetchall()
    return found[0] if found else None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", type=Path, required=True)
    arguments.add_argument("--statements", type=Path, required=True)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--group", type=int, default=1)
    chosen = arguments.parse_args()
    request = load(chosen.statements)
    print(json.dumps(measure(chosen.database, request, seconds=chosen.seconds, group=chosen.group)))


if __name__ == "__main__":
    main()
