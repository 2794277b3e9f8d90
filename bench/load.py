"""The load generator: a process of its own that keeps many connections busy as cheaply as possible.

It reads one plan as JSON from standard input, sends requests until the plan's time is over, waits for
every answer, and prints one JSON object. A closed loop sends the next request when the last one is
answered; an open loop (a plan with a rate) sends at instants fixed in advance, and counts latency from
the planned instant, so that a slow server cannot hide its queue.
"""

import asyncio
import gc
import itertools
import json
import random
import resource
import secrets
import signal
import subprocess
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

KEY = "%KEY%"
"""Stands for text that is new in each request: 32 hex digits."""
KEY_LENGTH = 32
VALUE = "%VALUE%"
"""Stands for one of the plan's values, for instance the id that is read."""
DRAIN_MAX_S = 30.0
TICK_MIN_S = 0.00025


@dataclass(frozen=True)
class Plan:
    """What to send. A request is a template; with *values*, (template number, text) pairs are walked through."""

    host: str
    port: int
    connections: int
    seconds: float
    warmup_s: float
    templates: Sequence[str]
    values: Sequence[tuple[int, str]] = ()
    rate: float | None = None
    samples: bool = False


@dataclass(frozen=True)
class Load:
    """What came back. Latencies in milliseconds; `rate` and latencies cover the time after the warm-up."""

    count: int
    rate: float
    statuses: Mapping[str, int]
    accepted: int
    unanswered: int
    lost: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    own_cpu: float
    samples_ms: Sequence[float] = field(default=())


def template(method: str, path: str, headers: Mapping[str, str], body: str = "") -> str:
    """Return the text of a request; KEY and VALUE in it are replaced when it is sent (no VALUE in the body)."""
    length = len(body.replace(KEY, "k" * KEY_LENGTH).encode())
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def run(plan: Plan) -> Load:
    """Run *plan* in a new process and return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan)), text=True, capture_output=True, check=True,
    )  # fmt: skip
    return Load(**json.loads(done.stdout))


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, generator: "Generator") -> None:
        self.generator = generator
        self.since = 0.0
        self.busy = False
        self.partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.generator.ready(self)

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self.busy = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.partial:
            data = self.partial + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + content_length(data[:end]):
            self.partial = data
            return
        self.partial = b""
        self.busy = False
        self.generator.answered(self, data[9:12])

    def connection_lost(self, exc: Exception | None) -> None:
        self.generator.lost_connection(self)


def content_length(head: bytes) -> int:
    """Return the length of the body that *head* announces; 204 and 304 have none."""
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        if head[9:12] in (b"204", b"304"):
            return 0
        raise SystemExit(f"an answer without Content-Length: {head[:200]!r}")
    stop = head.find(b"\r\n", at + 2)
    return int(head[at + 17 : stop if stop > 0 else None])


class Generator:
    """Keeps the connections busy and counts what they bring back."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests = self.make_requests()
        self.idle: list[Connection] = []
        self.waiting: deque[float] = deque()
        self.latencies = array("d")
        self.statuses: Counter[bytes] = Counter()
        self.sent = self.lost = self.counted = 0
        self.sending = True

    def make_requests(self) -> Iterator[bytes]:
        """Yield request after request, in an order that spreads over all templates."""
        texts = [text.encode().split(KEY.encode()) for text in self.plan.templates]
        order = list(self.plan.values) or [(number, "") for number in range(len(texts))]
        random.Random(len(order)).shuffle(order)
        unique, value_mark = secrets.token_hex(8), VALUE.encode()
        pieces = [(texts[number], value.encode()) for number, value in order]
        start = secrets.randbelow(len(pieces))
        for number, (parts, value) in enumerate(itertools.cycle(pieces[start:] + pieces[:start])):
            request = f"{unique}{number:016x}".encode().join(parts)
            yield request.replace(value_mark, value) if value else request

    async def run(self) -> Load:
        loop = asyncio.get_running_loop()
        self.now = time.perf_counter
        self.begin = self.now() + self.plan.warmup_s
        self.end = self.begin + self.plan.seconds
        for _ in range(self.plan.connections):
            await loop.create_connection(lambda: Connection(self), self.plan.host, self.plan.port)
        arrivals = asyncio.create_task(self.arrive()) if self.plan.rate else None
        await asyncio.sleep(max(0.0, self.begin - self.now()))
        cpu_before = cpu_seconds()
        await asyncio.sleep(max(0.0, self.end - self.now()))
        own_cpu = (cpu_seconds() - cpu_before) / self.plan.seconds
        if arrivals:
            await arrivals
        self.sending = False
        unanswered = await self.drain()
        return self.summary(own_cpu, unanswered)

    def ready(self, connection: Connection) -> None:
        """Give *connection* its next request, or note that it is idle."""
        if self.plan.rate is None:
            if self.sending and self.now() < self.end:
                self.dispatch(connection, self.now())
        elif self.waiting:
            self.dispatch(connection, self.waiting.popleft())
        else:
            self.idle.append(connection)

    def dispatch(self, connection: Connection, since: float) -> None:
        self.sent += 1
        connection.send(next(self.requests), since)

    async def arrive(self) -> None:
        """Send at planned instants, whether or not earlier requests are answered."""
        assert self.plan.rate
        loop, step = asyncio.get_running_loop(), 1.0 / self.plan.rate
        planned = iter([self.now() + number * step for number in range(int((self.end - self.now()) / step))])
        due, done = next(planned, None), asyncio.Event()

        def tick() -> None:
            nonlocal due
            now = self.now()
            while due is not None and due <= now:
                self.arrived(due)
                due = next(planned, None)
            if due is None:
                done.set()

        # The loop's own timers are a millisecond wide, so the kernel's timer drives the arrivals.
        loop.add_signal_handler(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, max(TICK_MIN_S, step), max(TICK_MIN_S, step))
        await done.wait()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def arrived(self, planned: float) -> None:
        if self.idle:
            self.dispatch(self.idle.pop(), planned)
        else:
            self.waiting.append(planned)

    def answered(self, connection: Connection, status: bytes) -> None:
        now = self.now()
        self.statuses[status] += 1
        # An open loop counts what was planned inside the window, a closed one what was answered inside it.
        instant = now if self.plan.rate is None else connection.since
        if self.begin <= instant < self.end:
            self.counted += 1
            self.latencies.append(now - connection.since)
        self.ready(connection)

    def lost_connection(self, connection: Connection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)
        if connection.busy or self.sending:
            self.lost += 1
        connection.busy = False
        if self.sending and self.now() < self.end:
            asyncio.get_running_loop().create_task(self.reconnect())

    async def reconnect(self) -> None:
        await asyncio.sleep(0.05)
        await asyncio.get_running_loop().create_connection(lambda: Connection(self), self.plan.host, self.plan.port)

    async def drain(self) -> int:
        """Wait until everything sent is answered; return how many answers never came."""
        limit = self.now() + DRAIN_MAX_S
        while self.outstanding() and self.now() < limit:  # noqa: ASYNC110 - an event would cost each answer
            await asyncio.sleep(0.01)
        return self.outstanding()

    def outstanding(self) -> int:
        return self.sent + len(self.waiting) - sum(self.statuses.values()) - self.lost

    def summary(self, own_cpu: float, unanswered: int) -> Load:
        ordered = sorted(1000 * seconds for seconds in self.latencies)
        return Load(
            count=self.counted,
            rate=self.counted / self.plan.seconds,
            statuses={status.decode(): count for status, count in sorted(self.statuses.items())},
            accepted=sum(count for status, count in self.statuses.items() if status.startswith(b"2")),
            unanswered=unanswered,
            lost=self.lost,
            p50_ms=quantile(ordered, 0.50),
            p95_ms=quantile(ordered, 0.95),
            p99_ms=quantile(ordered, 0.99),
            mean_ms=sum(ordered) / len(ordered) if ordered else 0.0,
            own_cpu=own_cpu,
            samples_ms=ordered if self.plan.samples else (),
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which *share* of *ordered* (ascending) lies; 0 when there is none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    gc.collect()
    gc.disable()
    print(json.dumps(asdict(uvloop.run(Generator(plan).run()))))


if __name__ == "__main__":
    main()
