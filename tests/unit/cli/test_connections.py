"""What the server says on a connection, and in how many pieces it leaves."""

import asyncio

import uvicorn
from uvicorn.server import ServerState

from opentill.cli.connections import HELD_BYTES_MAX, Connection, InOnePiece
from opentill.kernel.asgi import Receive, Scope, Send


class Wire(asyncio.Transport):
    """Notes every write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.written = asyncio.Event()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.pieces.append(bytes(data))
        self.written.set()

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_what_is_said_in_one_turn_leaves_in_one_piece() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())

    transport.write(b"head\r\n\r\n")
    transport.write(bytearray(b"body"))
    assert wire.pieces == []
    await asyncio.sleep(0)

    assert wire.pieces == [b"head\r\n\r\nbody"]


async def test_each_turn_has_a_piece_of_its_own() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())

    for part in (b"one", b"two"):
        transport.write(part)
        await asyncio.sleep(0)

    assert wire.pieces == [b"one", b"two"]


async def test_a_long_answer_does_not_pile_up() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())

    for _ in range(3):
        transport.write(b"x" * HELD_BYTES_MAX)
    assert sum(map(len, wire.pieces)) == 2 * HELD_BYTES_MAX

    await asyncio.sleep(0)
    assert sum(map(len, wire.pieces)) == 3 * HELD_BYTES_MAX


async def test_what_was_said_leaves_before_the_connection_closes() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())

    transport.write(b"the last words")
    transport.close()
    assert (wire.pieces, wire.closed) == ([b"the last words"], True)

    await asyncio.sleep(0)
    assert wire.pieces == [b"the last words"]


async def test_what_nobody_can_read_any_more_is_not_written() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())

    transport.write(b"too late")
    wire.close()
    await asyncio.sleep(0)

    assert wire.pieces == []


async def test_an_answer_of_the_server_leaves_in_one_piece() -> None:
    async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(answers, http=Connection, lifespan="off")
    config.load()
    connection, wire = Connection(config, ServerState(), {}), Wire()
    connection.connection_made(wire)
    connection.data_received(b"GET / HTTP/1.1\r\nhost: till\r\n\r\n")
    async with asyncio.timeout(5):
        await wire.written.wait()

    [answer] = wire.pieces
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok")
    connection.connection_lost(None)
