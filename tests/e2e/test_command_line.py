"""The command line against a running server: set-up links, keys, rotation, verification, and what it refuses."""

import json
import os
import stat
import subprocess
from pathlib import Path

from tests.e2e.server import OPENTILL, Server, started

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("OPENTILL_")}


def opentill(*arguments: str | Path, data: Path | None = None) -> "subprocess.CompletedProcess[str]":
    where = ["--data", data] if data else []
    return subprocess.run(
        [OPENTILL, *arguments, *where], capture_output=True, text=True, check=False, env=PLAIN, timeout=120
    )


def test_the_data_folder_is_for_its_owner_only(server: Server) -> None:
    for name in ("master.key", "opentill.db"):
        assert stat.S_IMODE((server.data / name).stat().st_mode) == 0o600, name


def test_a_second_server_on_the_same_folder_is_refused_and_told_where_the_first_is(server: Server) -> None:
    second = opentill("serve", "--port", "0", data=server.data)

    assert second.returncode == 2
    assert f"is served already, at {server.url}" in second.stderr
    assert "Traceback" not in second.stderr


def test_set_up_prints_a_link_to_the_running_server(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server:
        printed = opentill("setup", data=server.data)

    assert printed.returncode == 0
    assert f"{server.url}/setup/" in printed.stdout


def test_the_demo_prints_one_json_object_and_nothing_else(server: Server) -> None:
    made = opentill("demo", "--json", data=server.data)

    shop = json.loads(made.stdout)
    assert {"merchant_id", "merchant_api_key", "client_id", "client_secret"} <= shop.keys()
    assert made.stderr == ""


def test_master_keys_are_rotated_while_the_server_runs(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server:
        before = server.orders()["data"]["payment_id"]

        rotated = opentill("keys", "rotate", data=server.data)

        assert rotated.returncode == 0, rotated.stderr
        keys = json.loads((server.data / "master.key").read_text())
        assert (keys["current"], sorted(keys["keys"])) == ("k2", ["k1", "k2"])
        for payment_id in (before, server.orders()["data"]["payment_id"]):
            assert server.payment(payment_id)["customer"]["email"] == "ana@example.com"
        again = opentill("keys", "rotate", data=server.data)
        assert "customer.sealed" in again.stdout


def test_verify_counts_what_it_looked_at(server: Server) -> None:
    server.orders()

    report = json.loads(opentill("verify", "--json", data=server.data).stdout)

    assert report["faults"] == []
    assert report["counted"]["payment"] >= 1


def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    unknown = opentill("merchant", "key", "nobody", data=tmp_path)
    scope = opentill("merchant", "key", "nobody", "--scope", "everything", data=tmp_path)
    flag = opentill("serve", "--prot", "1")

    assert (unknown.returncode, scope.returncode, flag.returncode) == (2, 2, 2)
    assert "There is no merchant nobody." in unknown.stderr
    assert "no such scope: everything" in scope.stderr
    assert "--port" in flag.stderr


def test_help_teaches() -> None:
    told = opentill("--help").stdout

    for command in ("serve", "worker", "migrate", "setup", "demo", "verify", "merchant", "keys"):
        assert command in told
