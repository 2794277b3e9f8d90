"""Two versions of the worker during a rolling upgrade: either may die at any moment, and the other goes on (F13, R12).

The other version is the engine as it was before its last change, from the history of this repository, on the schema
of today. On SQLite, where one process works, they take turns: an upgrade that is taken back and made again.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from opentill.db import Database
from opentill.webhooks.model import Options
from tests.chaos.webhooks.loops import eventually
from tests.chaos.webhooks.test_failpoints import IN_FLIGHT, SHORT_LEASE_S, all_delivered, few_facts, reconciled
from tests.fakes.receiver import Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
ENGINE = ("webhooks", "workers/plan.py", "workers/deliver.py", "outbound", "events")
FACTS = 12  # for each death
SETTLES_S_MAX = 60.0
OPTIONS = Options(max_in_flight=IN_FLIGHT, timeout_s=1, schedule=(1,) * 10)


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def version_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the version before the engine was changed for the last time, with the worker that its tests start."""
    commits = git("log", "--format=%H", "-2", "--", *[f"src/opentill/{part}" for part in ENGINE]).decode().split()
    if len(commits) < 2:
        pytest.skip("a clone without history has no other version")
    folder = tmp_path_factory.mktemp("version_before")
    subprocess.run(["tar", "-x"], input=git("archive", commits[1], "src", "tests"), cwd=folder, check=True)
    return folder


async def start(tree: Path, url: str, name: str) -> asyncio.subprocess.Process:
    """Start a worker of the version that lies in *tree*."""
    lease = [] if url.startswith("sqlite") else [str(SHORT_LEASE_S)]  # alone it takes back at once what was lost
    words = [sys.executable, "-W", "error", "-m", "tests.chaos.webhooks.worker", url, name, *lease]
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    return await asyncio.create_subprocess_exec(*words, env=environment, cwd=tree)


@pytest.mark.checklist("F13")
@pytest.mark.bar("R7", gate=8, target=40, quick=3)
async def test_two_versions_side_by_side_lose_nothing_whichever_dies(
    database: Database, database_url: str, version_before: Path, bar_size: int, bar_seed: int
) -> None:
    chance, bench = Random(bar_seed), await Bench(database).start()
    trees = (ROOT, version_before)
    running: dict[Path, asyncio.subprocess.Process] = {}
    starts, recorded = 0, list[str]()

    async def run(*wanted: Path) -> None:
        nonlocal starts
        for tree in wanted:
            if tree not in running:
                starts += 1
                running[tree] = await start(tree, database_url, f"worker-{starts}")

    async with Receiver() as receiver:
        receiver.script("*", "slow:0.02")
        await bench.endpoint(receiver.url("/hook"), options=OPTIONS)
        try:
            for death in range(bar_size):
                dies = trees[death % 2]
                await run(*([dies] if database_url.startswith("sqlite") else trees))
                recorded += await few_facts(bench, FACTS)
                await receiver.wait_for(len(receiver.requests) + chance.randint(1, FACTS), within_s=30)
                dying = running.pop(dies)
                dying.kill()
                assert await dying.wait() == -signal.SIGKILL
            await run(*(trees[bar_size % 2 :][:1] if database_url.startswith("sqlite") else trees))
            await eventually(all_delivered(bench, len(recorded)), within_s=SETTLES_S_MAX)  # type: ignore[arg-type]
        finally:
            for worker in running.values():
                if worker.returncode is None:
                    worker.terminate()
        for worker in running.values():
            assert await asyncio.wait_for(worker.wait(), 30) in (0, -signal.SIGTERM)
        await reconciled(bench, receiver, recorded, deaths=starts)  # who starts alone takes back what another sends


def engine_of(tree: Path) -> dict[Path, bytes]:
    """Return the engine's files in a tree, by their path in it."""
    parts = [tree / "src" / "opentill" / part for part in ENGINE]
    files = [file for part in parts for file in (part.rglob("*.py") if part.is_dir() else [part])]
    return {file.relative_to(tree): file.read_bytes() for file in files}


def test_the_other_version_is_another(version_before: Path) -> None:
    ask = "import opentill.webhooks as engine; print(engine.__file__)"
    environment = os.environ | {"PYTHONPATH": str(version_before / "src")}
    there = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.startswith(str(version_before))
    assert engine_of(ROOT) != engine_of(version_before)
