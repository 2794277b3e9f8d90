"""L1 and L2 as running servers: one worker each, with the flags of the product's own server."""

import subprocess
import sys
import time
from pathlib import Path

from bench.cluster import free_port
from bench.load import Plan, run, template

FLAGS = {"workers": 1, "loop": "uvloop", "http": "httptools", "access_log": False}
"""How the product runs its server, as far as it matters for speed."""
APPLICATIONS = {"L1": "bench.limits.null_asgi:app", "L2": "bench.limits.null_fastapi:app"}
START_S_MAX = 20.0
SETTLE_S = 0.5


class LimitServers:
    """Both servers; each is idle while something else is measured."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.ports: dict[str, int] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "LimitServers":
        for name, application in APPLICATIONS.items():
            self.ports[name] = free_port()
            command = [sys.executable, "-m", "uvicorn", application, "--port", str(self.ports[name])]
            command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
            with (self.work / f"{name}.log").open("wb") as log:
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        try:
            for name in APPLICATIONS:
                self.wait_for(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)

    def rate(self, name: str, *, connections: int, seconds: float) -> float:
        """Return how many requests a second *name* answers."""
        plan = Plan("127.0.0.1", self.ports[name], connections, seconds, SETTLE_S, [template("GET", "/", {})])
        return run(plan).rate

    def wait_for(self, name: str) -> None:
        limit = time.monotonic() + START_S_MAX
        while time.monotonic() < limit:
            try:
                if run(Plan("127.0.0.1", self.ports[name], 1, 0.05, 0.0, [template("GET", "/", {})])).count:
                    return
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        raise RuntimeError(f"{name} did not start: {(self.work / f'{name}.log').read_text()[-500:]}")
