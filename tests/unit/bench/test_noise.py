"""What the harness started is no noise; what others do is."""

import subprocess
import sys
import time
from pathlib import Path

from bench import noise
from bench.machine import describe
from bench.noise import ForeignCpu, descends

BUSY = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass"


def test_a_child_that_works_is_not_foreign() -> None:
    parents, ticks = noise.processes()
    child = subprocess.Popen([sys.executable, "-c", BUSY])
    time.sleep(0.1)
    parents, ticks = noise.processes()
    ours = ForeignCpu()
    assert child.pid in ticks
    assert child.pid not in ours.usage().ticks
    assert descends(child.pid, {parents[child.pid]}, parents)
    child.wait()


def test_the_share_lies_between_nothing_and_the_whole_machine() -> None:
    foreign = ForeignCpu()
    time.sleep(0.1)
    assert 0 <= foreign.share() <= 1.1


def test_the_machine_is_described_with_its_fsync_time(tmp_path: Path) -> None:
    found = describe(tmp_path)
    assert found.cores >= 1
    assert found.memory_mib > 100
    assert found.filesystem != "unknown"
    assert 0 < found.fsync_us["p50"] <= found.fsync_us["p99"]
    assert not list(tmp_path.iterdir())
