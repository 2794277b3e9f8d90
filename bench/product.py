"""OpenTill as its users run it: processes started from the command line, spoken to over HTTP."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cluster import free_port

COMMAND = Path(sys.executable).with_name("opentill")
READY_S_MAX = 120.0  # ample: a machine that does much else at the time takes long to start a process
STOP_S_MAX = 30.0
RATE_LIMIT = 1_000_000
"""Requests a minute and key: raised as far as it goes, not removed."""
STRIPPED = "OPENTILL_"


class ProductFailed(Exception):  # noqa: N818 - names what happened
    """A command or a process of the product did not do what it should; the message ends with its output."""


@dataclass(frozen=True)
class Merchant:
    """Credentials of one merchant, as the command line prints them."""

    merchant_id: str
    merchant_api_key: str
    client_id: str
    client_secret: str


@dataclass(frozen=True)
class Install:
    """A data folder, and the database it belongs to where that is PostgreSQL."""

    data: Path
    database_url: str = ""

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'opentill.db'}"

    @property
    def embedded(self) -> bool:
        return not self.database_url

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment without the settings of whoever runs the benchmark."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(STRIPPED)}
        if self.database_url:
            kept["OPENTILL_DATABASE_URL"] = self.database_url
        return {**kept, **more}

    def run(self, *words: str) -> str:
        """Run a command of the product on this install; return what it printed. Raises ProductFailed."""
        command = [str(COMMAND), *words, "--data", str(self.data)]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            tail = (done.stdout + done.stderr)[-2000:]
            raise ProductFailed(f"`opentill {' '.join(words)}` failed with {done.returncode}: {tail}")
        return done.stdout

    def add_merchants(self, count: int) -> Sequence[Merchant]:
        printed = self.run(
            "merchant", "add", "Bench", "--sandbox", "--json", "--rate-limit", str(RATE_LIMIT), "--count", str(count)
        )  # fmt: skip
        return [merchant(line) for line in printed.splitlines() if line.startswith("{")]

    def add_demo_merchant(self) -> Merchant:
        """Return a merchant that may send webhooks to receivers on this machine."""
        return merchant(self.run("demo", "--json").strip().splitlines()[-1])

    def verify(self) -> None:
        """Have the product recompute its books. Raises ProductFailed where they do not hold."""
        self.run("verify")


def merchant(line: str) -> Merchant:
    found = json.loads(line)
    return Merchant(**{name: found[name] for name in Merchant.__dataclass_fields__})


@dataclass(frozen=True)
class Server:
    """A running product."""

    port: int
    pids: Sequence[int]

    def cpu_seconds(self) -> float:
        """Return the processor time used by all processes of the product so far."""
        return sum(cpu_ticks(pid) for pid in self.pids) / os.sysconf("SC_CLK_TCK")

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> tuple[int, Any]:
        """Send one request; return the status and the body, read as JSON where it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body.encode() if body is not None else None, headers=headers or {})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content[:1] in (b"{", b"[") else content
        finally:
            connection.close()


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def serving(install: Install, *, workers: bool = True, **environment: str) -> Iterator[Server]:
    """Run the product: one process on SQLite; one web and one worker process on PostgreSQL."""
    port = free_port()
    serve = ["serve", "--data", str(install.data), "--port", str(port)]
    commands = [serve if install.embedded and workers else [*serve, "--no-workers"]]
    if workers and not install.embedded:
        commands.append(["worker", "--data", str(install.data)])
    environment = install.environment(OPENTILL_LOG_FILE=str(install.data / "opentill.log"), **environment)
    output = install.data.parent / f"{install.data.name}.output"
    with output.open("ab") as log:
        processes = [
            subprocess.Popen([str(COMMAND), *words], env=environment, stdout=log, stderr=log) for words in commands
        ]
    server = Server(port, [process.pid for process in processes])
    try:
        # Without workers the installation is never ready, only alive.
        wait_until(server, "/health/ready" if workers else "/health", processes, output)
        yield server
    finally:
        stop(processes)


def wait_until(server: Server, path: str, processes: Sequence[subprocess.Popen[bytes]], output: Path) -> None:
    limit = time.monotonic() + READY_S_MAX
    while time.monotonic() < limit and all(process.poll() is None for process in processes):
        try:
            if server.ask("GET", path)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise ProductFailed(f"{path} did not answer 200: {output.read_text(errors='replace')[-300:]}")


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ProductFailed("the product did not stop when asked to") from None
