"""Whether a worker's loop still turns: it touches a file, and the container's health check looks at the file's age.

``python -m worker.health`` runs every few seconds beside a project that wants the processor, hence the standard library
and nothing else.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from math import inf
from pathlib import Path
from typing import Final

WORKER_FOLDER: Final = "dpss-worker-"
"""What the name of each worker's own folder in the scratch folder begins with."""
BEAT_SECONDS: Final = 1.0
"""At the least between two touches of the file, however fast the loop turns."""
SILENT_SECONDS: Final = 120.0
"""Three of the loop's longest turns, 40 s when SQS does not answer; no project is waited for in a turn."""


class Heartbeat:
    """Shows that the loop turns, in the worker's own ``folder``."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = folder / "alive"
        self._clock = clock
        self._beaten = -inf

    def beat(self) -> None:
        """To be called at each turn. Without room for the file, or without its folder, it is the check that fails."""
        now = self._clock()
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            with contextlib.suppress(OSError):
                self._file.touch()


def main() -> None:
    """Exit 0 when a worker's loop turns; else 1, and stderr says since when it does not."""
    scratch = [Path(folder) for folder in _scratch_folders()]
    last_beat = max(_beats(scratch), default=None)
    if last_beat is None:
        sys.exit(f"no worker: no {WORKER_FOLDER}*/alive in {' or '.join(map(str, scratch))}")
    silence = time.time() - last_beat
    if abs(silence) > SILENT_SECONDS:  # a beat of the future is one from before the clock was set back
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(last_beat))
        sys.exit(
            f"the worker's loop is silent since {since}, {silence:,.0f} s; at most {SILENT_SECONDS:.0f} s are well"
        )


def _scratch_folders() -> Iterable[str]:
    """Where workers may have their folders.

    Without a setting every place that Python's tempfile may have chosen; asked now, it passes over one that is full.
    """
    if configured := os.environ.get("DPSS_SCRATCH_DIR"):
        return [configured]
    named = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    return dict.fromkeys([*named, "/tmp", "/var/tmp"])  # noqa: S108 - looked into, not written to


def _beats(scratch: Iterable[Path]) -> Iterator[float]:
    """Seconds since the epoch of every worker's last beat, left-overs of killed workers among them."""
    for folder in scratch:
        for file in folder.glob(f"{WORKER_FOLDER}*/alive"):
            with contextlib.suppress(OSError):  # swept meanwhile
                yield file.stat().st_mtime


if __name__ == "__main__":
    main()
