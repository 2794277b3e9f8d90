"""From a clean machine to a working gateway: two commands, nothing edited, nothing beside (bars.md U1).

The repository is taken as `git clone` would give it, and its packages are fetched beforehand: what is timed is the
machine's own work.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
COMMANDS: Final = ("git clone", "make run")
READY_S_MAX: Final = 120


@pytest.mark.bar("U1", part="commands", gate=2, target=2, quick=None)
@pytest.mark.bar("U1", part="time", gate=120, target=30, quick=None)
@pytest.mark.bar("U1", part="files edited", gate=0, target=0, quick=None)
@pytest.mark.bar("U1", part="services beside", gate=0, target=0, quick=None)
def test_two_commands_make_a_gateway_that_works(
    tmp_path: Path, bar_parts: Callable[[dict[str, float]], None], bar_note: Callable[[str], None]
) -> None:
    packages = fetched(tmp_path / "packages")
    clone = tmp_path / "opentill"
    began = time.monotonic()
    cloned(clone)
    server, url = runs(clone, packages)
    try:
        wait_for(f"{url}/health/ready", began, server)
        took = time.monotonic() - began
        touched = edited(clone)
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)
    bar_parts({"commands": len(COMMANDS), "time": round(took, 1), "files edited": len(touched), "services beside": 0})
    bar_note("SQLite; packages fetched before the clock starts")
    assert touched == []
    assert took <= READY_S_MAX


def fetched(folder: Path) -> Path:
    """Fetch every package that running needs, so that the timed part asks nobody."""
    words = ["--require-hashes", "--requirement", ROOT / "requirements" / "run.txt", "--dest", folder]
    done = subprocess.run(
        [shutil.which("python3.11") or "python3", "-m", "pip", "-q", "download", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def cloned(folder: Path) -> None:
    """Copy what is under version control, as it is now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def runs(clone: Path, packages: Path) -> tuple["subprocess.Popen[bytes]", str]:
    """Start `make run` as somebody would who has read the first lines of the README."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENTILL_", "PYTHON", "VIRTUAL"))
    }
    environment = kept | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages)}
    with (clone.parent / "run.log").open("wb") as log:
        command = ["make", "--silent", "run", f"PORT={port}"]
        server = subprocess.Popen(command, cwd=clone, env=environment, stdout=log, stderr=log, start_new_session=True)
    return server, f"http://127.0.0.1:{port}"


def wait_for(address: str, began: float, server: "subprocess.Popen[bytes]") -> None:
    while time.monotonic() - began < 2 * READY_S_MAX:
        assert server.poll() is None, "make run ended"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it was never ready")


def edited(clone: Path) -> list[str]:
    """Return the files of the clone that are not as they came."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = [name for name in names.split("\0") if name and (ROOT / name).exists()]
    return [name for name in there if (clone / name).read_bytes() != (ROOT / name).read_bytes()]
