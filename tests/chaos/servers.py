"""OpenTill as its operators run it: processes on this machine, which a test starts, kills and starts again.

    with installed(folder, "postgres") as till:
        shop = till.add_shop()
        web, worker = till.web(), till.worker()
        await start(web, worker)
        web.kill()
        await start(web)

Only processes started here are ever killed, each by its own id.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from opentill.db import Database, Options, open_database
from opentill.kernel.secret import Keyring
from opentill.master_keys import open_keyring
from opentill.settings import Settings
from tests.conftest import new_postgres_database

COMMAND: Final = Path(sys.executable).with_name("opentill")
RATE_LIMIT: Final = 1_000_000  # requests a minute and key: raised, not removed
READY_S_MAX: Final = 60.0
STOP_S_MAX: Final = 60.0
LOOK_S: Final = 0.02


class ServerFailed(Exception):  # noqa: N818 - names what happened
    """A command or a process did not do what it should; the message ends with what it printed."""


@dataclass(frozen=True)
class Shop:
    """Credentials of one merchant, as the command line prints them."""

    merchant_id: str
    merchant_api_key: str
    client_id: str
    client_secret: str


@dataclass
class Process:
    """One process of the product: a web server or a worker, running or not."""

    name: str
    words: list[str]
    environment: dict[str, str]
    output: Path
    port: int | None = None
    deaths: int = 0
    _running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        assert self._running is not None, f"{self.name} was not started"
        return self._running.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def launch(self) -> None:
        """Start the process, without waiting for it to be ready."""
        with self.output.open("ab") as output:
            self._running = subprocess.Popen(self.words, env=self.environment, stdout=output, stderr=output)

    async def ready(self) -> None:
        """Return when the process does its work: a web server answers, a worker says so. Raises ServerFailed."""
        limit = time.monotonic() + READY_S_MAX
        while time.monotonic() < limit and self.alive:
            if await self._answers() if self.port else self._says_so():
                return
            await asyncio.sleep(LOOK_S)
        raise ServerFailed(f"{self.name} did not become ready: {self.printed()}")

    def kill(self) -> int:
        """End the process as a crash does, in the middle of whatever it does; return its id."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        assert self._running is not None
        self._running.wait()
        self.deaths += 1
        return pid

    def stop(self) -> None:
        """Ask the process to end, and see that it does. Raises ServerFailed."""
        if self._running is None or not self.alive:
            return
        self._running.terminate()
        try:
            self._running.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
            raise ServerFailed(f"{self.name} did not stop when asked to: {self.printed()}") from None

    def printed(self) -> str:
        return self.output.read_text(errors="replace")[-3_000:]

    async def _answers(self) -> bool:
        """Ask for /health; the answer is in one piece."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return (await reader.readline()).split()[1:2] == [b"200"]
        except OSError:
            return False
        finally:
            writer.close()

    def _says_so(self) -> bool:
        return self.output.read_text(errors="replace").count("workers are running") > self.deaths


@dataclass
class Install:
    """A data folder, and the database it belongs to where that is PostgreSQL."""

    data: Path
    database_url: str = ""
    processes: list[Process] = field(default_factory=list)
    chosen: dict[str, str] = field(default_factory=dict)  # settings of this install's processes

    @property
    def embedded(self) -> bool:
        return not self.database_url

    @property
    def settings(self) -> Settings:
        return Settings(data=self.data, database_url=self.database_url).completed()

    @property
    def keyring(self) -> Keyring:
        return open_keyring(self.settings)

    def open_database(self) -> Database:
        """Return the database, not yet started, to look at it beside the product."""
        return open_database(self.settings.database_url, options=Options(writers=1, readers=1))

    def add_shop(self) -> Shop:
        """Make a sandbox merchant with a generous rate limit."""
        printed = self.run("merchant", "add", "Loja", "--sandbox", "--json", "--rate-limit", str(RATE_LIMIT))
        found: dict[str, Any] = json.loads(printed)
        return Shop(**{name: found[name] for name in Shop.__dataclass_fields__})

    def verify(self) -> dict[str, Any]:
        """Have the product recompute its books; return its report."""
        report: dict[str, Any] = json.loads(self.run("verify", "--json", fails=True))
        return report

    def run(self, *words: str, fails: bool = False) -> str:
        """Run a command on this install; return what it printed. Raises ServerFailed unless it may fail."""
        command = [str(COMMAND), *words, "--data", str(self.data)]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode and not fails:
            raise ServerFailed(f"`opentill {' '.join(words)}`: {(done.stdout + done.stderr)[-3_000:]}")
        return done.stdout

    def web(self) -> Process:
        """Return a web server: with its workers on SQLite, without any on PostgreSQL."""
        port = free_port()
        words = ["serve", "--port", str(port), *([] if self.embedded else ["--no-workers"])]
        return self._process(f"web-{port}", words, port)

    def worker(self) -> Process:
        """Return a process of workers alone. PostgreSQL only."""
        return self._process(f"worker-{len(self.processes)}", ["worker"], None)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process, without settings of whoever runs the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENTILL_")}
        if self.database_url:
            kept["OPENTILL_DATABASE_URL"] = self.database_url
        return kept | {"OPENTILL_DEV": "1"} | self.chosen | more

    def stop(self) -> None:
        """Stop whatever runs."""
        for process in self.processes:
            process.stop()

    def _process(self, name: str, words: list[str], port: int | None) -> Process:
        command = [str(COMMAND), *words, "--data", str(self.data)]
        environment = self.environment(OPENTILL_LOG_FILE=str(self.data / f"{name}.log"))
        process = Process(name, command, environment, self.data / f"{name}.output", port)
        self.processes.append(process)
        return process


@contextmanager
def installed(folder: Path, mode: str) -> Iterator[Install]:
    """Make an install of its own in *folder*, on `sqlite` or `postgres`, and leave nothing of it running."""
    folder.mkdir(parents=True, exist_ok=True)
    if mode == "sqlite":
        yield from _until_stopped(Install(folder))
        return
    with new_postgres_database() as url:
        yield from _until_stopped(Install(folder, url))


def _until_stopped(install: Install) -> Iterator[Install]:
    install.run("migrate")
    try:
        yield install
    finally:
        install.stop()


async def start(*processes: Process) -> None:
    """Start processes and return when all of them are ready."""
    for process in processes:
        process.launch()
    for process in processes:
        await process.ready()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
