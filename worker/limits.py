"""What one project may use, from what the container has."""

import resource
from dataclasses import dataclass
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
_CGROUPS: Final = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        "total_inactive_file",
    ),
)
"""Limit, use, and the field of memory.stat that the kernel gives up first; cgroup version 2, then 1."""
_MEMINFO: Final = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Resident:
    """Memory that a process has in RAM, and had at its peak, in MiB."""

    now: float
    peak: float


def container_memory_mib() -> int | None:
    """The memory of the container or, without one, of the machine; None where neither is told (not Linux)."""
    limits = [int(text) for path, _, _ in _CGROUPS if (text := _read(path)).isdigit()]
    limits += [1_024 * size for size in [_kib(_read(_MEMINFO), "MemTotal:")] if size is not None]
    return min(limits) // MIB if limits else None


def budget_mib(container: int | None) -> int | None:
    """What all projects in hand may have together."""
    return None if container is None else max(SMALLEST_CEILING_MIB, container - PARENT_HEADROOM_MIB)


def ceiling_mib(asked: int | None, slots: int, budget: int | None) -> int | None:
    """The ceiling for one project: as asked, else an equal part of the budget; None is no ceiling."""
    if asked or budget is None:
        return asked
    return max(SMALLEST_CEILING_MIB, budget // slots)


def available_memory_mib() -> float | None:
    """What could be had at this moment without swapping, in the container and on the machine; None where not told."""
    left = [limit - used for limit, used in map(_cgroup_memory, _CGROUPS) if limit is not None]
    left += [1_024 * size for size in [_kib(_read(_MEMINFO), "MemAvailable:")] if size is not None]
    return max(0, min(left)) / MIB if left else None


def _cgroup_memory(files: tuple[Path, Path, str]) -> tuple[int | None, int]:
    """Limit and use in bytes; pages of files that the kernel would give up first are not use."""
    limit, use, idle = files
    if not (text := _read(limit)).isdigit():
        return None, 0
    given_up = _fields(_read(use.with_name("memory.stat"))).get(idle, 0)
    return int(text), int(_read(use) or 0) - given_up


def resident_mib(pid: int) -> Resident | None:
    """None once the process is gone, or where /proc is not."""
    status = _read(Path(f"/proc/{pid}/status"))
    now, peak = _kib(status, "VmRSS:"), _kib(status, "VmHWM:")
    return None if now is None or peak is None else Resident(now / 1_024, peak / 1_024)


def bound_memory(mib: int) -> None:
    """Refuse this process, from now on, more than ``mib`` of memory beyond what it has (setrlimit(2), RLIMIT_DATA).

    What grows faster than the parent looks gets a MemoryError instead of the kernel's attention.
    """
    if (has := _kib(_read(Path("/proc/self/status")), "VmData:")) is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (has * 1_024 + mib * MIB, hard))


def _fields(text: str) -> dict[str, int]:
    """``name number …`` lines."""
    return {words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) > 1}


def _kib(text: str, name: str) -> int | None:
    """The number after ``name`` in a file like /proc/meminfo."""
    found = (line for line in text.splitlines() if line.startswith(name))
    return next((int(line.split()[1]) for line in found), None)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
