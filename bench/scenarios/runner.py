"""P4: the product's database runner alone, given the recorded unit of work by 64 tasks; no HTTP."""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.bar import Bar
from bench.results import Found
from bench.scenarios.create import GROUP, raw_psycopg, raw_sqlite
from bench.session import POOL_SIZE, Session
from bench.statements import Filled, Filler, Request, load
from opentill.db import Database, Options, open_database

TASKS = 64
LEAD_S = 0.5
STOCK_SPARE = 1.3


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure the runner and the raw loop over the same driver in turns."""

    def runner(seconds: float) -> float:
        words = ["--database", session.fresh_database("runner"), "--statements", session.statements_path]
        return session.tool(__name__, *words, "--seconds", seconds)["rate"]

    limit = "L5" if session.cluster else "L4"

    def raw(seconds: float) -> float:
        return raw_psycopg(session, POOL_SIZE, seconds) if session.cluster else raw_sqlite(session, GROUP, seconds)

    series = session.settle({limit: raw, "runner": runner}, [("runner", limit)])
    size = {"tasks": TASKS, "statements": len(session.request.statements)}
    return [
        session.judge(bar, part, series, ("runner", limit), unit="1/s", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]


async def rate(database: Database, request: Request, seconds: float) -> float:
    """Run *request* from 64 tasks for *seconds*; its values are made before the clock starts."""
    filler = Filler(request)
    lead = await spell(database, [filler.fill() for _ in range(TASKS * 32)], LEAD_S)
    stock = [filler.fill() for _ in range(int(lead * seconds * STOCK_SPARE))]
    return await spell(database, stock, seconds)


async def spell(database: Database, stock: list[list[Filled]], seconds: float) -> float:
    """Return requests a second, until the time or the stock is used up."""
    done, begin = 0, time.perf_counter()

    async def task() -> None:
        nonlocal done
        while stock and time.perf_counter() < begin + seconds:
            rows: list[Any] = []
            for unit in stock.pop():
                await (database.write if unit.kind == "write" else database.read)(work(unit, rows))
            done += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(task())
    return done / (time.perf_counter() - begin)


def work(unit: Filled, rows: list[Any]) -> Callable[[Any], None]:
    """Return the unit as the product would write it: statement after statement through its transaction."""
    before = list(rows)

    def run(tx: Any) -> None:
        rows[:] = before  # it may run twice
        for step in unit.steps:
            for name, statement, column in step.patches:
                step.params[name] = rows[statement][column]
            found = getattr(tx, step.call)(step.sql, **step.params)
            rows.append(first_row(step.call, found))

    return run


def first_row(call: str, found: Any) -> Sequence[Any] | None:
    if call == "run" or not found:
        return None
    row = found if call == "one_or_none" else found[0]
    return [row[column] for column in row.keys()]  # noqa: SIM118 - iterating a row gives its values


async def run(url: str, statements: Path, seconds: float) -> dict[str, float]:
    async with open_database(url, options=Options(writers=POOL_SIZE)) as database:
        return {"rate": await rate(database, load(statements), seconds)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--statements", type=Path, required=True)
    arguments.add_argument("--seconds", type=float, default=8.0)
    chosen = arguments.parse_args()
    print(json.dumps(uvloop.run(run(chosen.database, chosen.statements, chosen.seconds))))


if __name__ == "__main__":
    main()
