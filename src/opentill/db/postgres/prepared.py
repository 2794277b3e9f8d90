"""Executes prepared statements with one call of libpq each, or several with one round trip.

A cursor of psycopg does as much in Python as PostgreSQL does for the whole of a short statement, and gives the
interpreter away several times meanwhile. Types are still psycopg's: what comes back is the same.
"""

import select
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import abc
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from opentill.db.postgres.connection import STATEMENTS_MAX, Connection
from opentill.db.statement import numbered

INT8: Final = 20  # PostgreSQL's numbers for types; 0 lets it find out by where the parameter stands
BYTEA: Final = 17
UNKNOWN: Final = 0

Values = dict[str, Any]


class Rows:
    """What a statement gave, with the part of a cursor's interface that a `Tx` needs."""

    def __init__(self, rows: list[Values], rowcount: int) -> None:
        self.rowcount = rowcount
        self._rows = rows
        self._next = 0

    def fetchone(self) -> Values | None:
        self._next += 1
        return self._rows[self._next - 1] if self._next <= len(self._rows) else None

    def fetchall(self) -> list[Values]:
        return self._rows[self._next :]


class Bound(NamedTuple):
    """A statement's values as PostgreSQL reads them. Types beyond these are for psycopg to write."""

    values: list[bytes | None]
    types: tuple[int, ...]
    formats: list[int]


Asked = tuple[str, Bound]  # a statement with its values


class Shape(NamedTuple):
    """How the answers to a statement become rows."""

    transformer: abc.Transformer
    make_row: Callable[[Sequence[Any]], Values] | None  # None where it gives no rows

    def rows(self, result: PGresult) -> list[Values]:
        if self.make_row is None:
            return []
        self.transformer.set_pgresult(result, set_loaders=False)
        return self.transformer.load_rows(0, result.ntuples, self.make_row)


class _Prepared(NamedTuple):
    name: bytes
    shape: Shape


class Statements:
    """The prepared statements of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._libpq: PGconn = connection.pgconn
        self._prepared: dict[tuple[str, tuple[int, ...]], _Prepared] = {}
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(self._libpq.socket, select.POLLIN)
        self._writable.register(self._libpq.socket, select.POLLIN | select.POLLOUT)

    def execute(self, sql: str, bound: Bound) -> Rows:
        """Execute a statement, which is prepared when it is first seen. Raises psycopg.Error."""
        prepared = self._prepared.get((sql, bound.types)) or self._prepare(sql, bound.types)
        result = self._libpq.exec_prepared(prepared.name, bound.values, bound.formats)  # type: ignore[arg-type]  # a null is None
        require_done(result)
        return _rows(prepared.shape, result)

    def execute_all(self, asked: Sequence[Asked]) -> list[Rows]:
        """Execute statements in their order with one round trip (libpq's pipeline mode).

        After one that fails none is executed. Raises its psycopg.Error.
        """
        if len(self._prepared) + len(asked) > STATEMENTS_MAX:
            self._forget()
        known = [self._prepared.get((sql, bound.types)) or self._prepare(sql, bound.types) for sql, bound in asked]
        try:
            results = self._exchange([(prepared, bound) for prepared, (_, bound) in zip(known, asked, strict=True)])
        except psycopg.Error:
            self._connection.close()  # what is still on its way belongs to nobody
            raise
        for result in results:
            require_done(result)
        return [_rows(prepared.shape, result) for prepared, result in zip(known, results, strict=True)]

    def command(self, sql: bytes) -> None:
        """Execute what has neither parameters nor rows. Raises psycopg.Error."""
        require_done(self._libpq.exec_(sql))

    def _prepare(self, sql: str, types: tuple[int, ...]) -> _Prepared:
        if len(self._prepared) >= STATEMENTS_MAX:
            self._forget()
        name = b"opentill_%d" % len(self._prepared)
        require_done(self._libpq.prepare(name, numbered(sql)[0], types))
        told = self._libpq.describe_prepared(name)
        require_done(told)
        self._prepared[sql, types] = prepared = _Prepared(name, shape_of(self._connection, told))
        return prepared

    def _forget(self) -> None:
        self.command(b"deallocate all")
        self._prepared.clear()

    def _exchange(self, bound: Sequence[tuple[_Prepared, Bound]]) -> list[PGresult]:
        """Send statements together and return what is answered to each."""
        libpq, results = self._libpq, list[PGresult]()
        libpq.enter_pipeline_mode()
        for prepared, (values, _, formats) in bound:
            libpq.send_query_prepared(prepared.name, values, formats)
        libpq.pipeline_sync()
        while libpq.flush():  # not everything fitted into the socket's buffer
            self._writable.poll()
            libpq.consume_input()
        while True:
            if libpq.is_busy():
                self._readable.poll()
                libpq.consume_input()
                continue
            result = libpq.get_result()  # None ends the answers to each statement
            if result is None:
                if libpq.status != ConnStatus.OK:
                    raise psycopg.OperationalError("the connection broke")
            elif result.status == ExecStatus.PIPELINE_SYNC:
                break
            else:
                results.append(result)
        libpq.exit_pipeline_mode()
        return results


def _rows(shape: Shape, result: PGresult) -> Rows:
    if result.status == ExecStatus.TUPLES_OK:
        return Rows(shape.rows(result), result.ntuples)
    return Rows([], result.command_tuples or 0)


def bind(sql: str, params: Mapping[str, object]) -> Bound | None:
    """Return the values of a statement in the order of its numbers; None if one has a type for psycopg to write.

    Raises psycopg.DataError for a text that PostgreSQL cannot hold.
    """
    values: list[bytes | None] = []
    types: list[int] = []
    formats: list[int] = []
    for name in numbered(sql)[1]:
        value = params[name]
        if value is None:
            bound, oid, form = None, UNKNOWN, Format.TEXT
        elif isinstance(value, str):
            bound, oid, form = value.encode(), UNKNOWN, Format.TEXT
            if b"\0" in bound:  # libpq would take it for the end of the text
                raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        elif isinstance(value, int):
            bound, oid, form = b"%d" % value, INT8, Format.TEXT
        elif isinstance(value, bytes):
            bound, oid, form = value, BYTEA, Format.BINARY
        else:
            return None
        values.append(bound)
        types.append(oid)
        formats.append(form)
    return Bound(values, tuple(types), formats)


def shape_of(connection: Connection, told: PGresult) -> Shape:
    """Return the shape of the answers to a statement, as the server *told* it."""
    transformer = Transformer(connection)
    transformer.set_loader_types([told.ftype(column) for column in range(told.nfields)], Format.TEXT)
    names = [(told.fname(column) or b"").decode() for column in range(told.nfields)]
    make_row = (lambda values: dict(zip(names, values, strict=True))) if names else None
    return Shape(transformer, make_row)


def require_done(result: PGresult) -> None:
    """Raise psycopg.Error unless a statement was executed."""
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise error_from_result(result, encoding="utf-8")
