"""Foreign CPU: what processes that the harness did not start used while it measured."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

FOREIGN_CPU_MAX = 0.06
"""A round with more of the machine's CPU time used by others does not count (bars.md §1.4)."""
QUIET_LOOK_S = 1.0
QUIET_WAIT_S = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KERNEL_THREADS = 2
"""The process whose children are the kernel's own threads; they work for whoever writes, so they are no noise."""


@dataclass(frozen=True)
class Usage:
    """Ticks used by each living process and its ended children, and ticks stolen by the hypervisor."""

    ticks: dict[int, int]
    stolen: int
    at: float


class ForeignCpu:
    """Measures the share of all cores that was used by others.

    A process that ends hands its ticks to its parent, so the sum over all foreign processes only grows,
    and what started and ended between two looks is counted too.
    """

    def __init__(self, also_ours: Callable[[], Iterable[int]] = tuple) -> None:
        self.also_ours = also_ours
        self.before = self.usage()

    def start(self) -> None:
        self.before = self.usage()

    def share(self) -> float:
        """Return the foreign share of the machine since `start`, between 0 and 1."""
        after = self.usage()
        used = sum(after.ticks.values()) - sum(self.before.ticks.values())
        stolen = after.stolen - self.before.stolen
        capacity = (after.at - self.before.at) * TICKS_PER_S * (os.cpu_count() or 1)
        return max(0.0, (used + stolen) / capacity) if capacity > 0 else 0.0

    def wait_until_quiet(self, share_max: float) -> None:
        """Return when others use less than *share_max*, or when waiting longer makes no sense."""
        limit = time.monotonic() + QUIET_WAIT_S
        while time.monotonic() < limit:
            self.start()
            time.sleep(QUIET_LOOK_S)
            if self.share() <= share_max:
                return

    def usage(self) -> Usage:
        parents, ticks = processes()
        ours = {os.getpid(), KERNEL_THREADS, *self.also_ours()}
        foreign = {pid: used for pid, used in ticks.items() if not descends(pid, ours, parents)}
        return Usage(foreign, stolen_ticks(), time.monotonic())


def processes() -> tuple[dict[int, int], dict[int, int]]:
    """Return the parent of each process, and the ticks used by it and its ended children."""
    parents, ticks = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended between the listing and the look
        parents[int(entry.name)] = int(fields[1])
        ticks[int(entry.name)] = sum(int(field) for field in fields[11:15])
    return parents, ticks


def descends(pid: int, roots: set[int], parents: dict[int, int]) -> bool:
    while pid and pid not in roots:
        pid = parents.get(pid, 0)
    return pid in roots


def stolen_ticks() -> int:
    """Return the ticks that the hypervisor gave to other machines, over all cores."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) if len(fields) > 8 else 0
