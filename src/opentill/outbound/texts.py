"""TXT records, asked of this machine's name servers. The system resolver only knows addresses."""

import asyncio
import struct
from pathlib import Path
from typing import Final

from opentill.kernel.ids import Ids

PORT: Final = 53
ANSWER_S: Final = 3.0
TXT: Final = 16
INTERNET: Final = 1
TRUNCATED: Final = 0x0200
ERRORS: Final = 0x000F
NAMES_MAX: Final = 128  # labels of one name
RESOLVER_FILE: Final = Path("/etc/resolv.conf")


async def text_records(name: str, *, ids: Ids, servers: tuple[tuple[str, int], ...] | None = None) -> tuple[str, ...]:
    """Return the texts of a name; none where there are none, or no server says anything in time."""
    for server in servers if servers is not None else name_servers():
        try:
            async with asyncio.timeout(ANSWER_S):
                return await _asked(name, server, ids)
        except (OSError, TimeoutError, ValueError, struct.error, IndexError):
            continue
    return ()


def name_servers(file: Path = RESOLVER_FILE) -> tuple[tuple[str, int], ...]:
    """Return the name servers of this machine, three at most."""
    try:
        words = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return ()
    return tuple((line[1], PORT) for line in words if len(line) > 1 and line[0] == "nameserver")[:3]


async def _asked(name: str, server: tuple[str, int], ids: Ids) -> tuple[str, ...]:
    """Ask over TCP: answers of any length, and nobody else can slip one in."""
    number = int(ids.hex(4), 16)
    question = b"".join(bytes([len(label)]) + label for label in name.encode("ascii").split(b".")) + b"\0"
    query = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question + struct.pack("!HH", TXT, INTERNET)
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
    except asyncio.IncompleteReadError as cut:
        raise OSError("the name server hung up") from cut
    finally:
        writer.close()
    return _texts(answer, number)


def _texts(answer: bytes, number: int) -> tuple[str, ...]:
    echoed, flags, questions, records, _, _ = struct.unpack_from("!HHHHHH", answer)
    if echoed != number or flags & ERRORS or flags & TRUNCATED:
        return ()
    at = 12
    for _ in range(questions):
        at = _after_name(answer, at) + 4
    found = []
    for _ in range(records):
        at = _after_name(answer, at)
        kind, _, _, length = struct.unpack_from("!HHIH", answer, at)
        at += 10
        if kind == TXT:
            found.append(_joined(answer[at : at + length]))
        at += length
    return tuple(found)


def _joined(data: bytes) -> str:
    """Return a record's parts as one text."""
    parts, at = [], 0
    while at < len(data):
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts).decode("ascii", errors="replace")


def _after_name(answer: bytes, at: int) -> int:
    for _ in range(NAMES_MAX):
        length = answer[at]
        if length >= 0xC0:
            return at + 2
        at += 1 + length
        if length == 0:
            return at
    raise ValueError("a name without an end")
