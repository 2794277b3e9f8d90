"""The load generator counts what comes back, and does not hide a slow server's queue."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bench.load import KEY, KEY_LENGTH, VALUE, Load, Plan, run, template

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(pause_s: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """Serve one connection after the other, a pause before each answer; also return what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with connection:
                        while data := connection.recv(65536):
                            asked.append(data)
                            time.sleep(pause_s)
                            connection.sendall(ANSWER[:20])
                            connection.sendall(ANSWER[20:])
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], asked
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def loaded(port: int, **more: object) -> Load:
    text = template("POST", f"/things/{VALUE}", {"Idempotency-Key": KEY}, f'{{"order":"{KEY}"}}')
    plan = {"seconds": 0.5, "warmup_s": 0.1, "values": [(0, "a"), (0, "b")], **more}
    return run(Plan("127.0.0.1", port, 1, templates=[text], **plan))  # type: ignore[arg-type]


def test_every_answer_is_counted_and_every_request_is_new() -> None:
    with server() as (port, asked):
        found = loaded(port)
    assert found.statuses == {"201": len(asked)}
    assert found.accepted == len(asked)
    assert found.unanswered == found.lost == 0
    assert found.rate == pytest.approx(found.count / 0.5)
    keys = {request.partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0] for request in asked}
    assert len(keys) == len(asked)
    assert all(len(key) == KEY_LENGTH for key in keys)
    assert {request.split(b" ")[1] for request in asked[:4]} == {b"/things/a", b"/things/b"}


def test_a_request_is_whole_and_its_length_is_right() -> None:
    with server() as (port, asked):
        loaded(port)
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_an_open_loop_counts_from_the_planned_instant() -> None:
    with server(pause_s=0.02) as (port, _):
        closed = loaded(port)
        opened = loaded(port, rate=100.0)
    assert closed.p50_ms < 60
    assert opened.p99_ms > 200
    assert opened.unanswered == 0


def test_an_open_loop_sends_what_was_planned() -> None:
    with server() as (port, asked):
        found = loaded(port, rate=200.0)
    assert len(asked) == pytest.approx(120, abs=3)
    assert found.count == pytest.approx(100, abs=3)
