"""Lookups on PostgreSQL: many on their way at once over one connection, in libpq's pipeline mode.

What is asked in one turn of the event loop leaves in one packet; answers are taken as they come. At any trouble the
connection is given up: who waits is told to go to a reader's thread, which knows how to say why, and another
connection is opened meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from opentill.db.errors import Unavailable
from opentill.db.lookup import NotHere, SecondStatement
from opentill.db.postgres.asking import Question, Unasked
from opentill.db.postgres.connection import Connection
from opentill.db.postgres.prepared import Bound, Shape, Values, bind, require_done, shape_of
from opentill.db.statement import numbered
from opentill.db.transaction import ReadTx

WAITING_MAX: Final = 256  # asked and not answered; more than that are the readers' to do, or to refuse
TRY_AGAIN_AFTER_S: Final = 5.0  # longer than a connection takes to open, or to be refused


class Lookups:
    """Makes lookups on a connection that is opened again where it broke."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._pipe: Pipe | None = None
        self._opening: asyncio.Task[None] | None = None
        self._open_after = 0.0  # on the event loop's clock
        self._closed = False

    async def open(self) -> None:
        connection = await asyncio.to_thread(self._connect)
        self._pipe = Pipe(connection, asyncio.get_running_loop())

    async def find(self, work: Callable[[ReadTx], Any]) -> Any:
        if self._pipe is None or self._pipe.broken:
            self._open_again()
            raise NotHere
        tx = Question()
        try:
            return work(tx)
        except Unasked:
            tx.rows = await self._pipe.ask(tx.sql, tx.params)
        try:
            return work(tx)
        except SecondStatement:
            raise NotHere from None

    async def close(self) -> None:
        self._closed = True
        if self._opening is not None:
            await self._opening
        if self._pipe is not None:
            self._pipe.give_up()

    def _open_again(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._open_after and not self._closed:
            self._open_after = now + TRY_AGAIN_AFTER_S
            self._opening = asyncio.create_task(self._try_to_open())

    async def _try_to_open(self) -> None:
        with suppress(Unavailable):  # a later lookup tries again
            await self.open()


class _Statement:
    """A prepared statement, and the shape of its rows once the first of them came."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.shape: Shape | None = None


class _Expected(NamedTuple):
    """An answer on its way: the rows of a statement, or that it was prepared, which nobody waits for."""

    statement: _Statement
    waiter: asyncio.Future[list[Values]] | None


class Pipe:
    """One connection in pipeline mode. After any trouble it is broken for good."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._libpq = connection.pgconn
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        self._socket = self._libpq.socket
        self._statements: dict[tuple[str, tuple[int, ...]], _Statement] = {}
        self._expected: deque[_Expected] = deque()
        self._sending = False
        self.broken = False
        loop.add_reader(self._socket, self._guarded, self._receive)

    async def ask(self, sql: str, params: Mapping[str, object]) -> list[Values]:
        """Return the rows of a statement. Raises `NotHere`."""
        try:
            bound = bind(sql, params)
        except psycopg.DataError:
            bound = None
        if bound is None or len(self._expected) >= WAITING_MAX:
            raise NotHere
        waiter: asyncio.Future[list[Values]] = self._loop.create_future()
        self._guarded(self._ask, sql, bound, waiter)
        if not self._sending:
            self._sending = True
            self._loop.call_soon(self._guarded, self._send)
        return await waiter

    def give_up(self) -> None:
        """Close the connection; whoever waits has to go elsewhere."""
        if self.broken:
            return
        self.broken = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._connection.close()
        for _, waiter in self._expected:
            if waiter is not None and not waiter.done():
                waiter.set_exception(NotHere())

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        if self.broken:
            return
        try:
            step(*args)
        except (psycopg.Error, OSError):
            self.give_up()

    def _ask(self, sql: str, bound: Bound, waiter: asyncio.Future[list[Values]]) -> None:
        known = self._statements.get((sql, bound.types))
        statement = known or _Statement(b"opentill_%d" % len(self._statements))
        # Expected before they are sent: whoever waits must hear of it where sending fails.
        if known is None:
            self._statements[sql, bound.types] = statement
            self._expected.append(_Expected(statement, None))
        self._expected.append(_Expected(statement, waiter))
        if known is None:
            self._libpq.send_prepare(statement.name, numbered(sql)[0], bound.types)
        self._libpq.send_query_prepared(statement.name, bound.values, bound.formats)

    def _send(self) -> None:
        """Have all that was asked in this turn answered."""
        self._sending = False
        self._libpq.pipeline_sync()
        self._flush()

    def _flush(self) -> None:
        self._loop.remove_writer(self._socket)
        if self._libpq.flush():  # not everything fitted into the socket's buffer
            self._loop.add_writer(self._socket, self._guarded, self._flush)

    def _receive(self) -> None:
        """Take the answers that are there. One None ends each, a sync all of one turn, and two Nones are the end."""
        self._libpq.consume_input()
        nones = 0
        while nones < 2 and not self._libpq.is_busy():
            result = self._libpq.get_result()
            nones = nones + 1 if result is None else 0
            if result is not None and result.status != ExecStatus.PIPELINE_SYNC:
                self._answer(*self._expected[0], result)
                self._expected.popleft()

    def _answer(self, statement: _Statement, waiter: asyncio.Future[list[Values]] | None, result: PGresult) -> None:
        require_done(result)
        if waiter is None:
            return
        if statement.shape is None:
            statement.shape = shape_of(self._connection, result)
        if not waiter.done():
            waiter.set_result(statement.shape.rows(result))
