"""Live money over real sockets: a bank behind TLS that asks for our certificate, attached with `opentill bank`.

The bank is the sandbox bank as a server of its own; to OpenTill it is a bank like any other, named by a profile that
an operator wrote. What it announces comes over HTTP too.
"""

import hashlib
import hmac
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import OPENTILL, Server, started

SIM_TOKEN = "sim-token"
KEY = "123e4567-e12b-12d1-a456-426655440000"
CLIENT = {"client_id": "loja", "client_secret": "a-secret-of-the-bank"}
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("OPENTILL_")}
PROFILE = """
bank = "Banco do Teste"
ispb = "99999001"
token_auth = "form"
mtls = true
private_network = true
payout_driver = "sandbox"
payout_scopes = ["envio.read", "envio.write"]

[environments.live]
base_url = "{url}/api/v2"
token_url = "{url}/oauth/token"
payout_base_url = "{url}/envio/v1"
"""


@dataclass(frozen=True)
class Bank:
    """The bank's address, its certificates, and the hand of its payers."""

    url: str
    certs: Path

    @property
    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certs / "ca.pem"))
        context.load_cert_chain(self.certs / "client.pem", self.certs / "client.key")
        return context

    def sim(self, hook: str, document: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_sim/{hook}", data=json.dumps(document).encode(), headers={"X-Sim-Token": SIM_TOKEN}
        )
        with urllib.request.urlopen(request, timeout=20, context=self.tls) as answer:
            return json.load(answer)


@contextmanager
def bank_at(folder: Path) -> Iterator[Bank]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    certs = folder / "certs"
    subprocess.run([OPENTILL, "sandbox-psp", "certs", certs], check=True, capture_output=True, env=PLAIN)
    options = ["--file", folder / "bank.db", "--port", str(port), "--certs", certs, "--sim-token", SIM_TOKEN]
    with (folder / "bank.log").open("w") as log:
        process = subprocess.Popen([OPENTILL, "sandbox-psp", *options], stdout=log, stderr=log, env=PLAIN)
    bank = Bank(f"https://localhost:{port}", certs)
    try:
        account = {"document": "11222333000181", "name": "Loja Real", "city": "NATAL", "keys": [KEY]}
        until(lambda: reached(lambda: bank.sim("accounts", CLIENT | account)))
        yield bank
    finally:
        process.terminate()
        process.wait(timeout=20)


def reached(call: Callable[[], Any]) -> bool:
    try:
        call()
    except OSError:
        return False
    return True


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    for _ in range(int(seconds * 5)):
        found = holds()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come to hold")


@dataclass(frozen=True)
class House:
    """A running OpenTill with a live merchant, and its bank."""

    server: Server
    bank: Bank
    shop: dict[str, str]

    def opentill(self, *arguments: str | Path, code: int = 0, **settings: str) -> str:
        environment = PLAIN | {"OPENTILL_PUBLIC_URL": self.server.url} | settings
        command = [OPENTILL, *arguments, "--data", self.server.data]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    def asks(self, method: str, path: str, document: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        body = b"" if document is None else json.dumps(document).encode()
        secret = self.shop["client_secret"]
        request = urllib.request.Request(
            f"{self.server.url}/api/external{path}",
            data=body or None,
            method=method,
            headers={
                "Authorization": f"ApiKey {self.shop['client_id']}:{secret}",
                "Content-Type": "application/json",
                "hmac": hmac.new(secret.encode(), body, hashlib.sha512).hexdigest(),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def status_of(self, transaction_id: str) -> str:
        _, found = self.asks("GET", f"/transactions/{transaction_id}")
        told: str = found["data"]["status"]
        return told


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("live")
    with bank_at(folder) as bank, started(folder / "data") as server:
        made = subprocess.run(
            [
                OPENTILL,
                "merchant",
                "add",
                "Loja Real",
                "--live",
                "--allow-ip",
                "127.0.0.1",
                "--json",
                "--data",
                server.data,
            ],
            capture_output=True,
            text=True,
            check=True,
            env=PLAIN,
        )
        (server.data / "banks").mkdir()
        (server.data / "banks" / "nosso_banco.toml").write_text(PROFILE.format(url=bank.url))
        yield House(server, bank, json.loads(made.stdout))


def attached(house: House) -> str:
    """Attach the account, once, and return its number."""
    listed = [json.loads(line) for line in house.opentill("bank", "list", "--json").splitlines()]
    known = [line for line in listed if line["mode"] == "live"]
    if not known:
        certs = house.bank.certs
        told = house.opentill(
            *("bank", "add", house.shop["merchant_id"], "--profile", "nosso_banco", "--pix-key", KEY),
            *("--client-id", CLIENT["client_id"], "--certificate", certs / "client.pem", "--key", certs / "client.key"),
            *("--roots", certs / "ca.pem", "--json"),
            OPENTILL_BANK_SECRET=CLIENT["client_secret"],
        )
        findings = {finding["name"]: finding for finding in json.loads(told)}
        assert all(finding["fine"] for finding in findings.values()), findings
        assert {"authorisation", "certificate", "receipts", "payouts", f"notifications of {KEY}"} <= findings.keys()
        return str(findings["account"]["detail"])
    return str(known[0]["id"])


def test_an_operators_own_profile_is_listed_where_it_has_an_environment(house: House) -> None:
    live, sandbox = house.opentill("bank", "profiles").splitlines()
    assert "nosso_banco" in live
    assert "nosso_banco" not in sandbox


def test_without_its_certificate_the_account_is_not_attached(house: House) -> None:
    told = house.opentill(
        *("bank", "add", house.shop["merchant_id"], "--profile", "nosso_banco", "--pix-key", KEY),
        *("--client-id", "loja", "--client-secret", "x"),
        code=2,
    )
    assert "asks for a client certificate" in told
    assert house.asks("POST", "/pix/cash-in", {"amount": 3000})[0] == 422


def test_live_money_comes_in_goes_out_and_goes_back(house: House) -> None:
    attached(house)
    status, charge = house.asks("POST", "/pix/cash-in", {"amount": 10_000, "external_id": "order-1"})
    assert (status, charge["status"]) == (200, "active"), charge
    house.bank.sim("pay", {"code": charge["qr_code"]})
    until(lambda: house.status_of(charge["transaction_id"]) == "completed")

    _, sent = house.asks("POST", "/pix/cash-out", {"amount": 2_500, "pix_key": "beatriz@example.com"})
    until(lambda: house.status_of(sent["transaction_id"]) == "completed")
    _, back = house.asks("POST", "/pix/refund", {"original_transaction_id": charge["transaction_id"], "amount": 1_000})
    assert back["status"] == "processing"
    until(lambda: house.status_of(back["refund_id"]) == "completed")

    _, held = house.asks("GET", "/balance")
    assert held["available"] == 650_000, held
    assert json.loads(house.opentill("verify", "--json"))["faults"] == []


def test_a_charge_of_the_same_bank_is_paid_by_its_code_which_the_bank_reads(house: House) -> None:
    attached(house)
    _, charge = house.asks("POST", "/pix/cash-in", {"amount": 700})
    status, refused = house.asks("POST", "/pix/cash-out", {"amount": 701, "emv_code": charge["qr_code"]})
    assert (status, refused["detail"]) == (422, "amount does not match the PIX code")


def test_a_certificate_is_rotated_while_the_server_runs(house: House, tmp_path: Path) -> None:
    number, certs = attached(house), house.bank.certs
    subprocess.run([OPENTILL, "sandbox-psp", "certs", tmp_path / "other"], check=True, capture_output=True, env=PLAIN)
    strange = tmp_path / "other"
    told = house.opentill(
        "bank", "rotate", number, "--certificate", strange / "client.pem", "--key", strange / "client.key", code=1
    )
    assert "FAILED  authorisation" in told
    assert house.asks("POST", "/pix/cash-in", {"amount": 3000})[0] == 503

    told = house.opentill(
        "bank", "rotate", number, "--certificate", certs / "client.pem", "--key", certs / "client.key"
    )
    assert "FAILED" not in told
    until(lambda: house.asks("POST", "/pix/cash-in", {"amount": 3000})[0] == 200)


def test_an_account_is_paused_resumed_and_removed_only_when_nothing_is_open(house: House) -> None:
    number = attached(house)
    house.opentill("bank", "pause", number)
    status, refused = house.asks("POST", "/pix/cash-in", {"amount": 3000})
    assert (status, refused["detail"]) == (422, "No active PIX key")
    assert "Not everything is over" in house.opentill("bank", "remove", number, code=2)
    house.opentill("bank", "resume", number)
    assert house.asks("POST", "/pix/cash-in", {"amount": 3000})[0] == 200
    assert "ok" in house.opentill("bank", "test", number)


def test_the_policy_is_shown_and_changed(house: House) -> None:
    attached(house)
    merchant = house.shop["merchant_id"]
    told = house.opentill("pix", "policy", merchant, "--charge-max", "50.00", "--approve-from", "20", "--json")
    policy = json.loads(told)
    assert (policy["charge_max_units"], policy["approve_from_units"]) == (500_000, 200_000)
    status, refused = house.asks("POST", "/pix/cash-in", {"amount": 5_001})
    assert (status, refused["detail"]) == (422, "Transaction limit exceeded")
    told = house.opentill("pix", "policy", merchant, "--charge-max", "none", "--approve-from", "none")
    assert "charge_max           none" in told
    assert "must not" in house.opentill("pix", "policy", merchant, "--charge-min", "2", "--charge-max", "1", code=2)
