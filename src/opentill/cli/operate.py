"""Running OpenTill: serve, worker, migrate, setup."""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
import uvicorn
import uvloop

from opentill.cli import logs
from opentill.cli.connections import Connection
from opentill.cli.options import Data
from opentill.cli.prepare import prepare
from opentill.db import open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.errors import Refused
from opentill.kernel.ids import SystemIds
from opentill.main import Till, assembled, loops, settle_memory
from opentill.master_keys import open_keyring
from opentill.operators import service as operators
from opentill.settings import Settings

CONNECTIONS_MAX: Final = 2_000
KEEP_ALIVE_S: Final = 15
STOP_S: Final = 30
LOCK: Final = "opentill.lock"  # in the data folder: held by the process that serves it, and says where


def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: 8000")] = None,
    public_url: Annotated[
        str | None, typer.Option(help="Where payers reach this server, e.g. https://pay.example.com")
    ] = None,
    workers: Annotated[
        bool, typer.Option("--workers/--no-workers", help="Run the workers in this process too.")
    ] = True,
    dev: Annotated[
        bool | None, typer.Option("--dev", help="Let webhooks reach loopback addresses and any port.")
    ] = None,
) -> None:
    """Serve both APIs, the checkout and the panel; nothing needs to be configured first."""
    settings = Settings.from_environment(data=data, host=host, port=port, public_url=public_url, dev=dev)
    logs.configure(settings)
    with _alone(settings):
        prepare(settings)
        _require_free_port(settings)
        print(_welcome(settings), flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                Till(settings, workers=workers),
                host=settings.host,
                port=settings.port,
                loop="uvloop",
                http=Connection,
                lifespan="on",
                access_log=False,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_S,
            )
        )
        server.run()
    if not server.started:
        raise typer.Exit(1)


def worker(data: Data = None) -> None:
    """Run the workers alone, beside any number of 'opentill serve --no-workers', on PostgreSQL."""
    settings = Settings.from_environment(data=data)
    logs.configure(settings)
    with _alone(settings):
        prepare(settings)
        uvloop.run(_work(settings))


def migrate(data: Data = None) -> None:
    """Bring the database to the newest schema. 'serve' and 'worker' do so when they start."""
    settings = Settings.from_environment(data=data)
    prepare(settings)
    print("The database is up to date.")


def setup(data: Data = None) -> None:
    """Print a one-time link that makes the first operator. There is no default password."""
    settings = Settings.from_environment(data=data)
    prepare(settings)
    link = asyncio.run(_setup_link(settings))
    if link is None:
        raise Refused("OPERATOR_EXISTS", "An operator exists already. Sign in, or ask that operator.")
    print(f"Open this link within an hour to make the first operator:\n\n  {link}\n")


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with assembled(settings) as assembly, loops(assembly, workers=True):
        settle_memory()
        # Not sooner: who waits for this line counts on a worker that has its database.
        print("OpenTill's workers are running. Stop them with Ctrl-C.", flush=True)
        await stop.wait()


async def _setup_link(settings: Settings) -> str | None:
    """Return a fresh link, or None where an operator exists."""
    clock = SystemClock()
    keyring = open_keyring(settings)
    async with open_database(settings.database_url) as database:
        if await database.read(operators.any_operator):
            return None
        token = await database.write(
            lambda tx: operators.create_setup_link(tx, ids=SystemIds(clock), keyring=keyring, now=clock.now())
        )
    return f"{_address(settings)}/setup/{token.reveal()}"


def _welcome(settings: Settings) -> str:
    lines = [f"OpenTill runs at {settings.public_url}", ""]
    link = asyncio.run(_setup_link(settings))
    if link is not None:
        lines += ["  Make the first operator (this link works once, within an hour):", f"    {link}", ""]
    folder = "" if str(settings.data) == "data" else f" --data {settings.data}"
    command = "opentill" if shutil.which("opentill") else os.path.relpath(sys.argv[0])
    lines += [
        "  Get credentials of a sandbox shop, in another terminal:",
        f"    {command} demo{folder} --json",
        "  Or watch payments, PIX and webhooks at work:",
        f"    {command} demo",
        "",
    ]
    return "\n".join(lines)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """On SQLite one process serves: hold the data folder's lock, or say who has it."""
    if not settings.embedded:
        yield
        return
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.data / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "ALREADY_RUNNING",
                f"{settings.data} is served already, at {_address(settings)}. Stop that process first, or use "
                "PostgreSQL (OPENTILL_DATABASE_URL) for several.",
            ) from None
        lock.truncate(0)
        lock.write(settings.public_url)
        lock.flush()
        yield
        lock.truncate(0)


def _address(settings: Settings) -> str:
    """Return where the process that serves this data folder is reached, else where the settings would have it."""
    note = settings.data / LOCK
    running = note.read_text() if settings.embedded and note.exists() else ""
    return running or settings.public_url


def _require_free_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as taken:
            raise Refused(
                "PORT_TAKEN",
                f"cannot listen on {settings.host}:{settings.port} ({taken.strerror}). Choose another with --port.",
            ) from None
