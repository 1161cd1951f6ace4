"""What one project may use, from what the container has."""

from pathlib import Path
from typing import Final

MIB: Final = 1_048_576
PARENT_HEADROOM_MIB: Final = 512
"""Left to the parent process, the warmed process and the kernel."""
SMALLEST_CEILING_MIB: Final = 512
THREADS: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_THREADING_LAYER": "workqueue",
}
"""Environment of whoever computes, unless given. OpenBLAS threads wait by spinning: on cores that others use too, the
eigenvectors of 2,000 genes took 5 to 14 s with two threads, 1 to 2 s with one. Numba's default layer aborts forked
children."""
_CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def container_memory_mib() -> int | None:
    """The memory of the container or, without one, of the machine; None where neither is told (not Linux)."""
    limits = [int(text) for path in _CGROUP_LIMITS if (text := _read(path)).isdigit()]
    total = [int(line.split()[1]) * 1_024 for line in _read(Path("/proc/meminfo")).splitlines()[:1]]
    return min(limits + total) // MIB if limits + total else None


def job_memory_mib(asked: int | None, slots: int, container: int | None) -> int | None:
    """The ceiling for one project: as asked, else an equal part of the container less headroom; None is no ceiling."""
    if asked or container is None:
        return asked
    return max(SMALLEST_CEILING_MIB, (container - PARENT_HEADROOM_MIB) // slots)


def resident_mib(pid: int) -> float | None:
    """Memory that process ``pid`` has in RAM; None once it is gone, or where /proc is not."""
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1_024
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
