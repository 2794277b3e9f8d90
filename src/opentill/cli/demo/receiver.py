"""A merchant's server in thirty lines: keeps every webhook as it came, raw bytes and headers."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it arrived. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Listens on a free port of 127.0.0.1 while it is used as a context."""

    def __init__(self) -> None:
        self._deliveries: list[Delivery] = []
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                receiver.keep(Delivery(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing: the tour prints what arrives."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def keep(self, delivery: Delivery) -> None:
        with self._arrived:
            self._deliveries.append(delivery)
            self._arrived.notify_all()

    def wait_for(self, wanted: Callable[[Delivery], bool], *, timeout_s: float) -> Delivery | None:
        """Return the first delivery that is wanted, waiting for it if need be."""
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while True:
                found = next(filter(wanted, self._deliveries), None)
                left_s = deadline - time.monotonic()
                if found is not None or left_s <= 0:
                    return found
                self._arrived.wait(left_s)
