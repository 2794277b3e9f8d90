"""L5: the product's own statements through bare psycopg 3, prepared, one thread and one connection per slot."""

import argparse
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.numeric import Int8Dumper

from bench.load import quantile
from bench.statements import Filled, Filler, Request, load
from opentill.db.statement import numbered

LEAD_S = 0.5
STOCK_SPARE = 1.3
Prepared = list[tuple[bool, bytes, list[Any], list[tuple[int, int, int]]]]


class Slot:
    """One connection that runs requests from its own stock until the time is over."""

    def __init__(self, url: str, filler: Filler) -> None:
        self.filler = filler
        self.stock: list[list[tuple[str, Prepared]]] = []
        self.times: list[float] = []
        self.connection = psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor)
        self.connection.prepare_threshold = 0
        self.connection.prepared_max = 1024
        self.connection.adapters.register_dumper(int, Int8Dumper)
        self.cursor = self.connection.cursor()

    def fill(self, count: int) -> None:
        """Make *count* requests ready, so that making them is not measured."""
        self.stock = [[(unit.kind, prepared(unit)) for unit in self.filler.fill()] for _ in range(count)]

    def work(self, until: float) -> None:
        self.times = []
        while (begin := time.perf_counter()) < until:
            if not self.stock:
                self.fill(64)
            self.perform(self.stock.pop())
            self.times.append(time.perf_counter() - begin)

    def perform(self, units: Sequence[tuple[str, Prepared]]) -> None:
        execute = self.cursor.execute
        rows: list[Any] = []
        for kind, steps in units:
            framed = kind == "write" or len(steps) > 1
            if framed:
                execute(b"begin", prepare=False)
            for returns, sql, params, patches in steps:
                for place, statement, column in patches:
                    params[place] = rows[statement][column]
                execute(sql, params, prepare=True)
                found = self.cursor.fetchall() if returns else None
                rows.append(found[0] if found else None)
            if framed:
                execute(b"commit", prepare=False)


def prepared(unit: Filled) -> Prepared:
    """Return the unit's statements with numbered parameters."""
    steps = []
    for step in unit.steps:
        sql, names = numbered(step.sql)
        patches = [(names.index(name), statement, column) for name, statement, column in step.patches]
        steps.append((step.call != "run", sql, [step.params.get(name) for name in names], patches))
    return steps


def measure(url: str, request: Request, *, seconds: float, connections: int) -> dict[str, Any]:
    """Run *request* on *connections* for *seconds*; return requests per second and the p50 in ms."""
    slots = [Slot(url, Filler(request)) for _ in range(connections)]
    lead = clock(slots, LEAD_S)
    each = int(lead["rate"] / connections * seconds * STOCK_SPARE) + 64
    for slot in slots:
        slot.fill(each)
    result = clock(slots, seconds)
    for slot in slots:
        slot.connection.close()
    return result


def clock(slots: Sequence[Slot], seconds: float) -> dict[str, Any]:
    begin = time.perf_counter()
    threads = [threading.Thread(target=slot.work, args=[begin + seconds], daemon=True) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - begin
    times = sorted(1000 * taken for slot in slots for taken in slot.times)
    return {"rate": len(times) / spent, "p50_ms": quantile(times, 0.5), "count": len(times)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", required=True, help="a postgresql:// address")
    arguments.add_argument("--statements", type=Path, required=True)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--connections", type=int, default=8)
    chosen = arguments.parse_args()
    request = load(chosen.statements)
    result = measure(chosen.database, request, seconds=chosen.seconds, connections=chosen.connections)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
