"""A receiver that answers 200 at once, in a process of its own; the sink of L7 and of the webhook benchmarks.

With `--record FILE` it writes a line for each request: the event's id and the instant of its first byte. Below
`/hang` it never answers, below `/drip` it answers a byte a second, and where a path ends with `/cold` it closes the
connection after its answer.
"""

import argparse
import asyncio
import ssl
import time
from pathlib import Path
from typing import TextIO, cast

import uvloop

from bench.load import content_length

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
DRIP_S = 1.0
BAD = (b"/hang", b"/drip")  # what arrives there is nobody's to reconcile: it is sent again and again
IDS = (b"\r\nwebhook-id: ", b"\r\nx-owem-event-id: ")


class Receiver(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, record: TextIO | None) -> None:
        self.record = record
        self.partial = b""
        self.first_byte_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.partial:
            self.first_byte_at = time.time_ns() // 1000
        data = self.partial + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + content_length(data[:end]):
            self.partial = data
            return
        self.partial = b""
        path = data.partition(b" ")[2].partition(b" ")[0]
        self.answer(path)
        if self.record and not path.startswith(BAD):
            self.record.write(f"{event_id(data[:end])} {self.first_byte_at}\n")
            self.record.flush()

    def answer(self, path: bytes) -> None:
        if path.startswith(b"/hang"):
            return
        if path.startswith(b"/drip"):
            self.drip(0)
            return
        self.transport.write(ANSWER)
        if path.endswith(b"/cold"):
            self.transport.close()

    def drip(self, place: int) -> None:
        if place < len(ANSWER) and not self.transport.is_closing():
            self.transport.write(ANSWER[place : place + 1])
            asyncio.get_running_loop().call_later(DRIP_S, self.drip, place + 1)


def event_id(head: bytes) -> str:
    """Return the id of the event, which each dialect has in a header of its own."""
    lowered = head.lower()
    for name in IDS:
        at = lowered.find(name)
        if at >= 0:
            return head[at + len(name) :].partition(b"\r\n")[0].decode()
    return "-"


async def serve(port: int, record: Path | None, certificate: Path | None) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    file = record.open("a") if record else None
    server = await asyncio.get_running_loop().create_server(
        lambda: Receiver(file), "127.0.0.1", port, ssl=context, backlog=1024
    )
    await server.serve_forever()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--record", type=Path)
    arguments.add_argument("--certificate", type=Path, help="a PEM file with a key and a certificate: serve https")
    chosen = arguments.parse_args()
    uvloop.run(serve(chosen.port, chosen.record, chosen.certificate))


if __name__ == "__main__":
    main()
