"""Writes down every statement with its values, for the benchmarks: the limits they measure run the same SQL.

The file gets one JSON object a line for each finished unit of work. It holds everything the database holds, secrets
in their sealed form included, and is private to its owner.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from opentill.db.database import Database, Driver, Options
from opentill.db.transaction import Dialect, ReadTx, Row, Tx
from opentill.kernel.clock import SystemClock

T = TypeVar("T")


class TracedDatabase(Database):
    """A database that writes each unit of work to a file before its commit."""

    def __init__(self, driver: Driver, options: Options, path: Path) -> None:
        super().__init__(driver, options)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def write(self, work: Callable[[Tx], T]) -> T:
        return await super().write(lambda tx: self._traced("write", work, tx))

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        return await super().read(lambda tx: self._traced("read", work, tx))

    async def lookup(self, work: Callable[[ReadTx], T]) -> T:
        return await super().lookup(lambda tx: self._traced("read", work, tx))

    async def close(self) -> None:
        await super().close()
        os.close(self._file)

    def _traced(self, kind: str, work: Callable[[Any], T], tx: Any) -> T:
        seen, at = TracedTx(tx), SystemClock().now()
        result = work(seen)
        line = json.dumps({"kind": kind, "at": at, "statements": seen.statements}, default=_bytes_as_hex)
        os.write(self._file, line.encode() + b"\n")
        return result


class TracedTx:
    """Passes every call on to the transaction, and remembers it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.statements: list[dict[str, object]] = []

    @property
    def dialect(self) -> Dialect:
        return self._tx.dialect

    def run(self, sql: str, /, **params: object) -> int:
        self._remember("run", sql, params)
        return self._tx.run(sql, **params)

    def defer(self, sql: str, /, **params: object) -> None:
        self._remember("run", sql, params)
        self._tx.defer(sql, **params)

    def together(self, *works: Callable[[Tx], Any]) -> tuple[Any, ...]:
        return tuple(work(self) for work in works)

    def one_or_none(self, sql: str, /, **params: object) -> Row | None:
        row = self._tx.one_or_none(sql, **params)
        self._remember("one_or_none", sql, params, [row] if row is not None else [])
        return row

    def all(self, sql: str, /, **params: object) -> Sequence[Row]:
        rows = self._tx.all(sql, **params)
        self._remember("all", sql, params, rows)
        return rows

    def many(self, sql: str, rows: Sequence[Mapping[str, object]], /) -> int:
        for params in rows:
            self._remember("run", sql, params)
        return self._tx.many(sql, rows)

    def note_event(self) -> None:
        self._tx.note_event()

    def _remember(self, call: str, sql: str, params: Mapping[str, object], rows: Sequence[Row] = ()) -> None:
        columns = list(rows[0].keys()) if rows else []
        values = [[row[column] for column in columns] for row in rows]
        statement: dict[str, object] = {"call": call, "sql": sql, "params": dict(params)}
        self.statements.append(statement | {"columns": columns, "rows": values})


def _bytes_as_hex(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"hex": bytes(value).hex()}
    raise TypeError(f"{type(value).__name__} is no parameter of a statement")
