"""A worker's place in the fleet: whatever is done to the worker in it, another one follows."""

import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from infra.local.processes import Process, Processes
from infra.local.progress import Follower

MARK: Final = "CHAOS_SEAT"
"""The variable that all processes of a seat inherit."""
OUTLIVE_SECONDS: Final = 2.0
"""For children to end with their worker."""
COMMAND_CHARACTERS: Final = 120
KIB_PER_MIB: Final = 1_024

Cause = Literal["itself", "killed", "terminated"]


@dataclass(frozen=True)
class Ended:
    """How a worker ended, and how many seconds after it was told to."""

    worker: str
    cause: Cause
    code: int
    seconds: float
    last_words: str


def marked(value: str) -> set[int]:
    """All running processes whose environment says that they belong to a seat of this name."""
    return {
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/environ")
        if f"{MARK}={value}\0".encode() in _read(path)
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


class Seat:
    """Workers called ``name``, one after another; to be used in one thread, with whose end they would end."""

    def __init__(self, name: str, environ: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.ended: list[Ended] = []
        self.outlived: list[str] = []
        self.defects: list[str] = []
        self.peak_mib = 0.0
        self.is_up = self.is_warm = False
        self._retired = False
        self._mark = f"{name}-{os.getpid()}"
        self._processes = Processes({**environ, MARK: self._mark}, logs)
        self._log = Follower(logs / f"{name}.log")
        self._cause: Cause = "itself"
        self._started = self._told = 0.0
        self._died: float | None = None
        self._frozen: set[int] = set()
        self._thaw = 0.0

    def __enter__(self) -> Self:
        self._worker = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.__exit__(kind, error, trace)

    @property
    def can_be_tormented(self) -> bool:
        """Whether there is a worker that has nothing ahead of it but work."""
        return self._worker.popen.poll() is None and self._cause == "itself" and not self._frozen

    @property
    def has_ended(self) -> bool:
        """Whether a worker that was told to stop is gone, with all its children."""
        return self._cause != "itself" and self._died is not None and not self.processes()

    def tend(self) -> None:
        """Hear what the worker says, thaw it when it is time to, and have another one follow when it is gone."""
        self._listen()
        if self._frozen and time.monotonic() >= self._thaw:
            _signal(self._frozen, signal.SIGCONT)
            self._frozen = set()
        if self._worker.popen.poll() is None:
            self._note_memory()
        elif self._died is None:
            self._died = time.monotonic()
            self._note_end()
        elif self._children_are_gone() and not self._retired:
            self._worker = self._start()

    def kill(self) -> None:
        """SIGKILL to the worker itself."""
        self._tell("killed", signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM to the worker itself."""
        self._tell("terminated", signal.SIGTERM)

    def retire(self) -> None:
        """SIGTERM, and no other worker follows."""
        self._retired = True
        self.terminate()

    def kill_child(self, lot: random.Random) -> None:
        """SIGKILL to one of its children, whatever it is for."""
        _signal({lot.choice(sorted(self.processes() - {self._worker.popen.pid}))}, signal.SIGKILL)

    def freeze(self, seconds: float, *, children: bool) -> None:
        """SIGSTOP, and SIGCONT after ``seconds``; to its children too, or to the worker alone."""
        self._note_memory()
        self._frozen = self.processes() if children else {self._worker.popen.pid}
        self._thaw = time.monotonic() + seconds
        _signal(self._frozen, signal.SIGSTOP)

    def processes(self) -> set[int]:
        """The worker and its children."""
        return marked(self._mark)

    def _start(self) -> Process:
        self._cause, self._died = "itself", None
        self._started, self.is_up, self.is_warm = time.monotonic(), False, False
        return self._processes.start(self.name, ["dpss-worker", "run"])

    def _tell(self, cause: Cause, number: signal.Signals) -> None:
        self._note_memory()
        self._cause, self._told = cause, time.monotonic()
        self._worker.popen.send_signal(number)

    def _note_end(self) -> None:
        seconds = 0.0 if self._cause == "itself" else time.monotonic() - self._told
        last = self._worker.last_words().splitlines()[-1]
        self.ended.append(Ended(self.name, self._cause, self._worker.popen.returncode, seconds, last))

    def _listen(self) -> None:
        for event in self._log.events():
            self.is_up = self.is_up or event.get("event") == "started"
            self.is_warm = self.is_warm or event.get("event") == "received"
            if event.get("event") == "defect":
                self.defects.append(str(event.get("exception", event)))

    def _children_are_gone(self) -> bool:
        children = self.processes()
        if children and self._died is not None and time.monotonic() - self._died > OUTLIVE_SECONDS:
            lived = self._died - self._started
            told = "; ".join(_command(pid) for pid in sorted(children))
            self.outlived.append(f"{self.name}, which lived for {lived:.1f} s, left {told}")
            _signal(children, signal.SIGKILL)
        return not children

    def _note_memory(self) -> None:
        status = _read(Path(f"/proc/{self._worker.popen.pid}/status")).decode()
        peak = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
        self.peak_mib = max([self.peak_mib, *(kib / KIB_PER_MIB for kib in peak)])


def _command(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace")[:COMMAND_CHARACTERS]


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
