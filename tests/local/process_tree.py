"""Which processes there are, from /proc or, without one, from ps."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60


def _running() -> dict[int, int]:
    """Process → parent, of all that run; those that ended and were not yet fetched are left out."""
    if Path("/proc/self/stat").exists():
        rows = [row for path in Path("/proc").glob("[0-9]*/stat") if (row := _stat(path))]
    else:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
        rows = [(int(pid), int(parent), state) for pid, parent, state in map(str.split, listed.stdout.splitlines())]
    return {pid: parent for pid, parent, state in rows if not state.startswith("Z")}


def _stat(path: Path) -> tuple[int, int, str] | None:
    try:
        text = path.read_text()
    except OSError:
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return int(path.parent.name), int(parent), state


def descendants(pid: int) -> set[int]:
    """All processes below ``pid``."""
    parents = _running()
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return found


def alive(pids: set[int]) -> set[int]:
    """Those of ``pids`` that still run."""
    return pids & set(_running())


def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; AssertionError where it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
