"""The tour: a fresh gateway, a receiver, the calls of both API pages, and every statement they make."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from opentill.cli.demo.calls import curl
from opentill.cli.demo.merchant_page import MerchantPage
from opentill.cli.demo.pix_page import PixPage
from opentill.cli.demo.receiver import Receiver
from opentill.cli.demo.statements import Statements
from opentill.kernel.errors import Refused

START_S: Final = 30.0
STOP_S: Final = 30.0
OPENTILL: Final = (sys.executable, "-m", "opentill.cli")


def run() -> int:
    """Take the tour; return 0 if every statement held, 1 otherwise."""
    for program in ("curl", "openssl"):
        if shutil.which(program) is None:
            raise Refused("PROGRAM_MISSING", f"the demo makes its calls with {program}; install it first")
    statements = Statements()
    with tempfile.TemporaryDirectory(prefix="opentill-demo-") as folder, Receiver() as receiver:
        data = Path(folder) / "data"
        with _gateway(data) as base_url:
            shop = _shop(data)
            print(f"A gateway of its own runs at {base_url}, a receiver at {receiver.address}.")
            MerchantPage(base_url, shop, receiver, statements).walk()
            PixPage(base_url, shop, receiver, statements).walk()
        verified = _opentill(data, "verify")
        print(f"\nopentill verify\n  {verified.stdout.strip()}")
        statements.check("The books agree with everything that happened", verified.returncode == 0, seen=verified)
    print(f"\n{statements.summary()}")
    return 0 if statements.all_true else 1


@contextmanager
def _gateway(data: Path) -> Iterator[str]:
    """Run a server of its own on a free port."""
    port = _free_port()
    base_url = f"http://127.0.0.1:{port}"
    log = data.with_suffix(".log")
    with log.open("w") as output:
        server = subprocess.Popen(  # noqa: S603
            [*OPENTILL, "serve", "--data", str(data), "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
    try:
        _wait_until_it_answers(base_url, server, log)
        yield base_url
    finally:
        server.terminate()
        server.wait(STOP_S)


def _wait_until_it_answers(base_url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if curl(f"{base_url}/health").status == 200:
                return
        except subprocess.CalledProcessError:
            time.sleep(0.1)
    raise Refused("NOT_STARTED", f"the gateway did not start:\n{log.read_text()}")


def _shop(data: Path) -> Mapping[str, str]:
    """Make a sandbox merchant, and two more keys: one that only reads, one that is soon over its limit."""
    shop: dict[str, Any] = json.loads(_opentill(data, "demo", "--json").stdout)
    for name, options in (("read_only_key", ["--scope", "read"]), ("limited_key", ["--rate-limit", "5"])):
        made = json.loads(_opentill(data, "merchant", "key", shop["merchant_id"], *options, "--json").stdout)
        shop[name] = made["merchant_api_key"]
    return shop


def _opentill(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603
        [*OPENTILL, *arguments, "--data", str(data)], capture_output=True, text=True, check=False, env=_environment()
    )


def _environment() -> dict[str, str]:
    """The demo's gateway is its own: settings of a real one do not reach it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENTILL_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
