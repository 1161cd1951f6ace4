"""The fleet's processes, started as the images start them, and none of them left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Final, NoReturn, Self

STOP_SECONDS: Final = 4
"""From SIGTERM to SIGKILL: longer than the grace that a worker is given here (fleet.py)."""
LAST_LINES: Final = 15
LOOK_SECONDS: Final = 0.1
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Told to stop, by ``signal_number``. Not an Exception, so that nothing takes it for a failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def stop_on_signals() -> None:
    """Ctrl-C, SIGTERM and SIGHUP raise Interrupted in the main thread, once: tidying up is not interrupted again."""
    for number in ENDINGS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    os.write(sys.stderr.fileno(), "Stopping …\n".encode())  # a buffered print may not be entered twice
    raise Interrupted(number)


@dataclass(frozen=True, slots=True)
class Process:
    """A running console script, and the file that takes what it says."""

    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path

    @property
    def failed(self) -> bool:
        """Whether it ended, and not well."""
        return self.popen.poll() not in {None, 0}

    def last_words(self) -> str:
        """How it ended, and the end of what it said."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"{self.name} ended with exit code {self.popen.returncode} ({self.log}):", *lines])


class Processes:
    """Starts console scripts of this environment; when the block ends so do they, and all they started."""

    def __init__(self, environ: Mapping[str, str], logs: Path) -> None:
        self._environ = dict(environ)
        self._logs = logs
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def start(self, name: str, command: Sequence[str], stdout: IO[str] | None = None) -> Process:
        """Start ``command``, a console script and its arguments; it says to ``{name}.log`` what has no other place.

        It gets a session of its own, so that Ctrl-C reaches it from here only.
        """
        executable = Path(sysconfig.get_path("scripts")) / command[0]
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(  # noqa: S603 - our own scripts
                [sys.executable, "-m", "infra.local.tether", str(os.getpid()), str(executable), *command[1:]],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout or output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(Process(name, popen, log))
        return self._started[-1]

    def __exit__(self, *_error: object) -> None:
        for process in self._started:
            if process.popen.poll() is None:
                process.popen.terminate()
        wait(self._started, STOP_SECONDS)
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()


def wait(processes: Sequence[Process], seconds: float) -> bool:
    """Whether all have ended, after up to ``seconds``."""
    deadline = time.monotonic() + seconds
    while any(process.popen.poll() is None for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
