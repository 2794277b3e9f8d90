"""Runs pgbench and reads its answer."""

import re
import subprocess
from pathlib import Path

THREADS = 2
TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.MULTILINE)


def requests_per_second(programs: Path, url: str, script: Path, *, clients: int, seconds: float) -> float:
    """Run *script* with prepared statements; return how many of it a second were done."""
    return tps(
        [
            programs / "pgbench",
            "-n",
            "-M",
            "prepared",
            "-f",
            script,
            "-c",
            clients,
            "-j",
            THREADS,
            "-T",
            round(seconds),
        ],
        url,
    )


def tpc_b(programs: Path, url: str, *, clients: int, seconds: float, scale: int = 10) -> float:
    """Make pgbench's own tables in the database *url* and run its TPC-B-like script."""
    subprocess.run([str(programs / "pgbench"), "-i", "-q", "-s", str(scale), url], check=True, capture_output=True)
    return tps([programs / "pgbench", "-M", "prepared", "-c", clients, "-j", THREADS, "-T", round(seconds)], url)


def tps(command: list[object], url: str) -> float:
    done = subprocess.run([*map(str, command), url], capture_output=True, text=True, check=False)
    found = TPS.search(done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"pgbench failed: {done.stderr[-2000:]}")
    return float(found[1])
