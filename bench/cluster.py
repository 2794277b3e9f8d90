"""A PostgreSQL server for the benchmarks: the one that is named, or a throw-away cluster made with initdb."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

URL_VARIABLE = "OPENTILL_BENCH_DATABASE_URL"
PROGRAM_FOLDERS = "/usr/lib/postgresql"
ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root, so it runs as this account when we are root."""
START_S_MAX = 20.0
STOP_S_MAX = 30.0
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
OPTIONS = {
    **dict.fromkeys(DURABLE, "on"),
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "100",
}
REPORTED = (*DURABLE, "server_version", "shared_buffers", "max_wal_size", "max_connections", "wal_level")


class NoPostgres(Exception):  # noqa: N818 - names what happened
    """There is no PostgreSQL to measure, and why."""


class NotDurable(Exception):  # noqa: N818 - names what happened
    """A server that may lose what it acknowledged; nothing is measured on it."""


class Cluster:
    """A server with databases of our own, all of which are dropped at the end."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.programs = programs()
        self.given = os.environ.get(URL_VARIABLE, "")
        self.process: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None
        self.databases: list[str] = []

    def __enter__(self) -> "Cluster":
        try:
            self.url = self.given or self.start()
            self.require_durable()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.given:  # a throw-away cluster takes its databases with it
            for name in list(self.databases):
                self.drop(name)
        self.stop()

    def require_durable(self) -> None:
        """Raise NotDurable if the server may lose what it acknowledged, NoPostgres if there is none."""
        try:
            lax = [name for name, value in self.settings().items() if name in DURABLE and value != "on"]
        except psycopg.OperationalError as error:
            raise NoPostgres(f"no PostgreSQL answers at the address in {URL_VARIABLE}") from error
        if lax:
            raise NotDurable(f"PostgreSQL has {', '.join(lax)} off; a fast server that loses money is not measured")

    def stop(self) -> None:
        """Stop a throw-away cluster and remove its folder."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_S_MAX)
        limit = time.monotonic() + STOP_S_MAX
        while self.folder and self.folder.exists() and time.monotonic() < limit:
            shutil.rmtree(self.folder, ignore_errors=True)  # initdb may still be writing
            time.sleep(0.1)

    def start(self) -> str:
        """Make a cluster in a folder of its own and start it; return its address."""
        # Not inside the work folder, which only we may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="opentill-postgres-", dir="/var/tmp"))
        data, port = self.folder / "data", free_port()
        user = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups"] if os.getuid() == 0 else []
        if user:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        initdb = [self.programs / "initdb", "-D", data, "-U", ACCOUNT, "-A", "trust", "-E", "UTF8", "--locale=C"]
        done = subprocess.run([*user, *map(str, initdb)], capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode:
            raise NoPostgres(f"initdb failed: {done.stderr.strip()[-300:]}")
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", data, "-k", self.folder, "-p", port, *options]
        with (self.work / "postgres.log").open("wb") as log:
            self.process = subprocess.Popen([*user, *map(str, command)], stdout=log, stderr=log, cwd=self.folder)
        url = f"postgresql://{ACCOUNT}@127.0.0.1:{port}/postgres"
        self.wait_for(url)
        return url

    def wait_for(self, url: str) -> None:
        assert self.process
        limit = time.monotonic() + START_S_MAX
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                psycopg.connect(url, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise NoPostgres(f"the new cluster did not start: {(self.work / 'postgres.log').read_text()[-300:]}")

    def create(self, name: str, template: str = "template0") -> str:
        """Create a database, a copy of *template*, which nobody may be connected to; return its address."""
        self.execute("create database {} template {}", name, template)
        self.databases.append(name)
        return self.address(name)

    def drop(self, name: str) -> None:
        """Drop a database of ours, if there is one."""
        if name in self.databases:
            self.execute("drop database if exists {} with (force)", name)
            self.databases.remove(name)

    def address(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def settings(self) -> Mapping[str, str]:
        """Read back what the server does, not what it was told."""
        with psycopg.connect(self.url) as server:
            rows = server.execute("select name, setting from pg_settings where name = any(%s)", [list(REPORTED)])
            return dict(sorted(rows.fetchall()))

    def pids(self) -> Iterable[int]:
        """Return the server's own process where we did not start it but it is on this machine."""
        if not self.given or urlsplit(self.url).hostname not in ("127.0.0.1", "localhost", "::1"):
            return ()
        with psycopg.connect(self.url) as server:
            row = server.execute("select pg_backend_pid()").fetchone()
            assert row
            return (parent_of(row[0]),) if Path(f"/proc/{row[0]}").exists() else ()


def programs() -> Path:
    """Return the folder of the newest PostgreSQL. Raises NoPostgres."""
    found = sorted(
        (path for path in Path(PROGRAM_FOLDERS).glob("*/bin") if (path / "initdb").exists()),
        key=lambda path: float(path.parent.name),
    )
    if found:
        return found[-1]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if (Path(folder) / "initdb").exists() and (Path(folder) / "pgbench").exists():
            return Path(folder)
    raise NoPostgres("no PostgreSQL programs found")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
