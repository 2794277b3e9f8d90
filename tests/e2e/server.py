"""A started `opentill serve` in a folder of its own, and a shop that uses it over HTTP."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 60  # a fresh data folder, on a busy machine
OPENTILL = Path(sys.executable).with_name("opentill")
RETURN_URL = "https://shop.example/thanks?cart=7"
CANCEL_URL = "https://shop.example/cart"


@dataclass(frozen=True)
class Server:
    """Where it listens, what it printed, and the keys of a sandbox shop."""

    url: str
    data: Path
    printed: str
    shop: dict[str, str]
    pid: int

    def orders(self, gateway: str = "sandbox", amount: str = "99.90", **more: Any) -> dict[str, Any]:
        """Create a payment as the seed page does and return the answer."""
        return self.calls(
            "/api/v1/payment-intents",
            {
                "gateway": gateway,
                "amount": amount,
                "currency": "BRL",
                "order_id": "ORD-1001",
                "customer_name": "Ana Souza",
                "customer_email": "ana@example.com",
                "description": "2 × Café torrado 500 g",
                "return_url": RETURN_URL,
                "cancel_url": CANCEL_URL,
            }
            | more,
        )

    def asks_anybody(self, amount: str = "99.90") -> dict[str, Any]:
        """Create a payment that leaves the way to pay to the payer."""
        fields = {"amount": amount, "currency": "BRL", "reference": "ORD-1002", "redirect_url": RETURN_URL}
        made: dict[str, Any] = self.calls("/api/v1/payments", fields)["data"]
        return made

    def payment(self, payment_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.calls(f"/api/v1/payments/{payment_id}")["data"]
        return found

    def calls(self, path: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self.url + path,
            data=None if fields is None else json.dumps(fields).encode(),
            headers={"authorization": f"Bearer {self.shop['merchant_api_key']}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    @property
    def setup_link(self) -> str:
        found = re.search(rf"{re.escape(self.url)}/setup/[0-9a-f]+", self.printed)
        assert found is not None, self.printed
        return found[0]


@contextmanager
def started(data: Path, *, furnished: bool = True, **settings: str) -> Iterator[Server]:
    """Run a server on a free port, with these variables in its environment, until the block ends.

    Unless it is *furnished* with a sandbox shop it is as it comes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", data / "serve.log"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENTILL_")} | settings
    with log.open("w") as output:
        process = subprocess.Popen(
            [OPENTILL, "serve", "--data", data, "--port", str(port)], stdout=output, stderr=output, env=environment
        )
    try:
        await_health(url, process, log)
        yield Server(url, data, log.read_text(), demo_shop(data, environment) if furnished else {}, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=40)


def demo_shop(data: Path, environment: dict[str, str]) -> dict[str, str]:
    """Have the command line make a sandbox shop; return its keys."""
    command = [OPENTILL, "demo", "--data", data, "--json"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    keys: dict[str, str] = json.loads(made.stdout)
    return keys


def await_health(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(START_S * 10):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")
