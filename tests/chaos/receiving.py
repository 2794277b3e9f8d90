"""A receiver in a process of its own, which writes down every request it gets, as long as it lives.

`python -m tests.chaos.receiving FILE` prints the port it listens on. Each request is a line of the file: path, event
id, attempt and the SHA-256 of the body.
"""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fakes.receiver import Received, Receiver

ROOT: Final = Path(__file__).parents[2]
STOP_S_MAX: Final = 10.0


@dataclass(frozen=True)
class Line:
    """One request, as it was written down."""

    path: str
    event_id: str
    attempt: int
    digest: str


@dataclass(frozen=True)
class Receiving:
    """A receiver that runs, and what it has got so far."""

    port: int
    file: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def lines(self) -> list[Line]:
        parts = (text.split(" ") for text in self.file.read_text().splitlines())
        return [Line(path, event_id, int(attempt), digest) for path, event_id, attempt, digest in parts]


@contextmanager
def receiving(folder: Path) -> Iterator[Receiving]:
    """Run a receiver until the block ends."""
    file = folder / "received"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.receiving", str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Receiving(int(process.stdout.readline()), file)
    finally:
        process.terminate()
        process.wait(STOP_S_MAX)
        if process.stdout is not None:
            process.stdout.close()


async def receive(file: Path) -> None:
    """Receive for ever."""
    with file.open("w", buffering=1) as lines:

        def write_down(request: Received) -> None:
            attempt = request.header("X-OpenTill-Attempt") or request.header("X-OwnPay-Attempt")
            digest = hashlib.sha256(request.body).hexdigest()
            lines.write(f"{request.path} {request.header('webhook-id')} {attempt} {digest}\n")

        async with Receiver(check=write_down) as receiver:
            print(receiver.port, flush=True)
            while True:
                await asyncio.sleep(60)
                receiver.requests.clear()


if __name__ == "__main__":
    asyncio.run(receive(Path(sys.argv[1])))
