"""What the server says on a connection, and in how many pieces it leaves."""

import asyncio

from opentill.cli.connections import HELD_BYTES_MAX, InOnePiece


class Wire(asyncio.Transport):
    """Notes every write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.pieces.append(bytes(data))

    def close(self) -> None:
        self.closed = True


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
