"""What the numbers were measured on: hardware, kernel, file system, versions, and the fsync probe (L10)."""

import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.load import quantile

FSYNC_WRITES = 200
FSYNC_BYTES = 4096
LIBRARIES = ("fastapi", "pydantic", "starlette", "uvicorn", "uvloop", "httptools", "psycopg", "aiohttp")


@dataclass(frozen=True)
class Machine:
    """The hardware under the data folder; memory in MiB, fsync in microseconds."""

    cpu: str
    cores: int
    memory_mib: int
    disk: str
    filesystem: str
    virtual: bool
    kernel: str
    fsync_us: dict[str, float]


def describe(data: Path) -> Machine:
    """Describe this machine and the disk that holds *data*."""
    device, filesystem = mounted(data)
    return Machine(
        cpu=cpu_field("model name") or platform.processor() or "unknown CPU",
        cores=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        disk=disk_kind(device),
        filesystem=filesystem,
        virtual="hypervisor" in (cpu_field("flags") or "").split(),
        kernel=platform.release(),
        fsync_us=fsync_probe(data),
    )


def software() -> dict[str, str]:
    """Return the versions that a result depends on."""
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def fsync_probe(data: Path, writes: int = FSYNC_WRITES) -> dict[str, float]:
    """L10: write 4 KiB and flush it to the disk, again and again; microseconds for the p50 and p99."""
    path = data / "fsync.probe"
    block, times = os.urandom(FSYNC_BYTES), []
    with path.open("wb", buffering=0) as file:
        for _ in range(writes):
            begin = time.perf_counter()
            file.write(block)
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begin) * 1e6)
    path.unlink()
    times.sort()
    return {"p50": round(quantile(times, 0.50), 1), "p99": round(quantile(times, 0.99), 1)}


def cpu_field(name: str) -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return None


def mounted(path: Path) -> tuple[str, str]:
    """Return the device number (major:minor) and the file system type that hold *path*."""
    best = ("", "", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        _, _, device, _, point = fields.split()[:5]
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, device, tail.split()[0])
    return best[1], best[2]


def disk_kind(device: str) -> str:
    """Name the kind of the block device with number *device*: nvme, virtio, ssd, hdd, or its file system's."""
    block = Path("/sys/dev/block") / device
    if not block.exists():
        return "no block device"
    disk = block.resolve()
    if (disk / "partition").exists():
        disk = disk.parent
    for prefix, kind in (("nvme", "nvme"), ("vd", "virtio"), ("dm-", "device mapper"), ("mmc", "mmc")):
        if disk.name.startswith(prefix):
            return kind
    rotational = disk / "queue" / "rotational"
    return "hdd" if rotational.exists() and rotational.read_text().strip() == "1" else "ssd"
