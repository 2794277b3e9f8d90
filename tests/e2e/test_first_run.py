"""What a fresh installation is: closed, silent, and only its owner's to read (bars.md S13, U3)."""

import os
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.server import Server, started

GUESSES = (("admin", "admin"), ("admin@example.com", "password"), ("root", "root"), ("opentill", "opentill"))
WRITABLE = os.O_WRONLY | os.O_RDWR
EVERYWHERE = "00000000"  # the address of a socket that listens or knows nobody


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("fresh") / "data", furnished=False) as server:
        yield server


def answer(server: Server, path: str, **request: object) -> tuple[int, str]:
    asked = urllib.request.Request(server.url + path, **request)  # type: ignore[arg-type]
    try:
        with urllib.request.urlopen(asked, timeout=30) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.mark.bar("S13")
def test_nobody_can_sign_in_and_no_key_exists(fresh: Server) -> None:
    with closing(sqlite3.connect(fresh.data / "opentill.db")) as books:
        for table in ("operator", "merchant", "api_key", "pix_credential"):
            assert books.execute(f"select count(*) from {table}").fetchone() == (0,), table
    status, page = answer(fresh, "/admin")
    assert status == 200
    assert "sign-in" in page
    for name, password in GUESSES:
        status, _ = answer(fresh, "/admin/sign-in", data=f"email={name}&password={password}".encode())
        assert status in (401, 409, 422), (name, status)


@pytest.mark.bar("S13")
@pytest.mark.parametrize("path", ["/api/v1/payments", "/api/v1/customers", "/api/external/balance", "/metrics"])
def test_the_apis_are_closed(fresh: Server, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer op_00000000.000000000000000000000000000000000000000000000000"}):
        status, _ = answer(fresh, path, headers=headers)
        assert status in (401, 403, 404), (path, status)


@pytest.mark.bar("S13")
@pytest.mark.bar("U3")
def test_the_set_up_link_is_on_the_console_alone(fresh: Server) -> None:
    token = fresh.setup_link.rpartition("/")[2]
    assert len(token) * 4 >= 128
    for path in ("/", "/admin/sign-in", "/setup/x", "/health", "/health/ready", "/api/v1/health"):
        assert token not in answer(fresh, path)[1], path
    assert answer(fresh, "/setup/" + "0" * len(token))[0] == 404
    with closing(sqlite3.connect(fresh.data / "opentill.db")) as books:
        assert token not in "\n".join(books.iterdump())
    assert "setup" in answer(fresh, "/")[1], "the first page says what to do next"


@pytest.mark.bar("S13")
def test_its_files_are_its_owners_alone(fresh: Server) -> None:
    for path in (fresh.data, *fresh.data.rglob("*")):
        if path.name != "serve.log":  # written by this test's own shell
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.bar("S13")
def test_it_writes_nowhere_but_into_its_folder_and_talks_to_nobody(fresh: Server) -> None:
    """The root file system may be read-only, and nothing is reported to anybody."""
    process = Path(f"/proc/{fresh.pid}")
    sockets = set()
    for number in (process / "fd").iterdir():
        place = str(number.readlink())
        if place.startswith("socket:["):
            sockets.add(place[8:-1])
        elif place.startswith("/") and not place.startswith(("/dev/", "/proc/", "/memfd:")):
            flags = int((process / "fdinfo" / number.name).read_text().split("flags:")[1].split()[0], 8)
            assert not flags & WRITABLE or place.startswith(str(fresh.data)), place
    for table in ("tcp", "tcp6"):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in sockets:
                remote = words[2].partition(":")[0]
                assert remote.endswith("0100007F") or set(remote) == {"0"}, f"connected to {remote}"
