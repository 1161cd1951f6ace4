"""A child process per project, seen from the parent: started warm, watched, and killed when it must be.

Children are forked by one process that has the heavy imports behind it (multiprocessing's fork server), so that a small
project does not wait for them and the parent stays small.
"""

import asyncio
import contextlib
import ctypes
import faulthandler
import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared import telemetry
from shared.errors import (
    BY_REASON,
    InternalError,
    JobCrashedError,
    JobOutOfMemoryError,
    JobTimeoutError,
    SummaryStatsError,
)
from shared.settings import LogFormat
from worker import limits

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

PR_SET_PDEATHSIG: Final = 1
WATCH_SECONDS: Final = 0.25
"""Between looks at the child's memory: what it can add in that time has to fit into the headroom."""
START_SECONDS: Final = 20.0
"""For a child that is given up to be started after all; then what it is forked from is stuck, and killed."""
FORK_SECONDS: Final = 120.0
"""For a child to be forked; one that died before may have to be warmed up anew first."""
FORK_SERVER_DIED: Final = 255
"""What multiprocessing gives for a child's exit code when nobody is left to tell it."""
WARM_PID: Final = "warm.pid"
"""The file in the worker's folder in which the process that children are forked from says who it is."""
PARENT_PID: Final = "DPSS_PARENT_PID"
"""The variable that tells a process who started it."""

log = telemetry.logger("child")


@dataclass(frozen=True, slots=True)
class Job:
    """What a child is told; plain values, since they cross to another process. ``matrices`` as in the message."""

    project_id: str
    matrices: tuple[dict[str, Any], ...]
    key_prefix: str
    folder: str
    figure_formats: tuple[str, ...]
    portal_url: str
    allowed_hosts: tuple[str, ...]
    memory_mib: int | None
    log_format: LogFormat
    log_context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one project may use."""

    memory_mib: int | None
    seconds: float


class Children:
    """Starts children and sees them to their end."""

    def __init__(self, ceilings: Ceilings) -> None:
        self.ceilings = ceilings
        self._context = multiprocessing.get_context("forkserver")
        self._imported = asyncio.Event()
        self._warm = False
        self._pid_file = Path()
        self._running: set[ForkServerProcess] = set()

    def resident_mib(self) -> float:
        """What all children have in RAM at this moment."""
        sizes = [limits.resident_mib(process.pid or 0) for process in self._running]
        return sum(size.now for size in sizes if size)

    def warm(self, folder: Path) -> None:
        """Start the process that children are forked from; it imports while the parent goes on.

        What it and its children put aside is below ``folder``. To be called in the main thread: Linux kills the process
        when the thread that started it ends.
        """
        self._pid_file = folder / WARM_PID
        os.environ |= {"TMPDIR": str(folder), PARENT_PID: str(os.getpid())}
        # multiprocessing has no public way to say where its socket is
        multiprocessing.current_process()._config["tempdir"] = _short(folder)  # type: ignore[attr-defined] # noqa: SLF001
        self._context.set_forkserver_preload(["worker.tied", "worker.warm"])
        forkserver.ensure_running()
        threading.Thread(target=self._fork_one, args=(asyncio.get_running_loop(),), daemon=True).start()

    def close(self) -> None:
        """End the process that children are forked from."""
        with contextlib.suppress(OSError, ValueError):  # it had not come far enough to tell; then it ends with us
            os.waitpid(self._kill_warm(), 0)

    def _kill_warm(self) -> int:
        pid = int(self._pid_file.read_text())
        os.kill(pid, signal.SIGKILL)
        return pid

    def _fork_one(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fork a child that looks whether it is warm: it comes when the imports are done, or never."""
        process = self._context.Process(target=_check_warm, daemon=True)
        with contextlib.suppress(EOFError, OSError):
            process.start()
            process.join()
        self._warm = process.pid is not None and process.exitcode == 0
        with contextlib.suppress(RuntimeError):  # the worker ended meanwhile
            loop.call_soon_threadsafe(self._imported.set)

    async def ready(self) -> bool:
        """True once children can be forked; InternalError where they cannot, for no project could be worked."""
        await self._imported.wait()
        if not self._warm:
            raise InternalError("the process that children are forked from did not start; its last words are above")
        return True

    async def run(self, job: Job, on_stage: Callable[[str], None]) -> None:
        """Work ``job`` to its end; raises what the child raised or became. Cancelled: the child is killed."""
        reader, writer = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_enter, args=(job, writer), daemon=True)
        starting = asyncio.ensure_future(asyncio.to_thread(_start, process))
        self._running.add(process)
        try:
            async with asyncio.timeout(self.ceilings.seconds):
                await self._started(starting)
                writer.close()  # else its end would never be heard
                await self._watch(process, reader, on_stage)
        except (EOFError, ConnectionError) as error:
            raise JobCrashedError(f"the project's process could not be started: {error!r}") from None
        except TimeoutError:
            raise JobTimeoutError(f"stopped after {self.ceilings.seconds:,.0f} s (DPSS_JOB_TIMEOUT_SECONDS)") from None
        finally:
            self._running.discard(process)
            await self._end(process, starting)
            reader.close()
            writer.close()

    async def _started(self, starting: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(FORK_SECONDS):
                await asyncio.shield(starting)
        except TimeoutError:
            raise JobCrashedError(f"the project's process could not be forked within {FORK_SECONDS:.0f} s") from None

    async def _end(self, process: "ForkServerProcess", starting: asyncio.Future[None]) -> None:
        """No child is left, whatever happened; uncancelled, since one that is still being started has to be awaited."""
        with contextlib.suppress(BaseException):
            await asyncio.wait([starting], timeout=START_SECONDS)
            if not starting.done():
                log.warning("children cannot be forked", waited_seconds=START_SECONDS)
                self._kill_warm()
            await starting
        if process.pid:
            process.kill()
            await asyncio.to_thread(process.join)

    async def _watch(self, process: "ForkServerProcess", reader: Connection, on_stage: Callable[[str], None]) -> None:
        stir = asyncio.Event()
        with _stirring(stir, reader.fileno(), process.sentinel):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await stir.wait()
                stir.clear()
                ended = process.exitcode is not None
                if _listen(reader, on_stage):
                    return
                if ended:
                    raise JobCrashedError(_epitaph(process.exitcode))
                self._check_memory(process)

    def _check_memory(self, process: "ForkServerProcess") -> None:
        size, ceiling = limits.resident_mib(process.pid or 0), self.ceilings.memory_mib
        if size and ceiling and size.now > ceiling:
            raise JobOutOfMemoryError(
                f"stopped at a peak of {size.peak:,.0f} MiB, above its ceiling of {ceiling:,} MiB (DPSS_JOB_MEMORY_MIB)"
            )


def _short(folder: Path) -> str:
    """Another name of ``folder``: the path of a socket has at most 107 bytes (unix(7))."""
    return f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}" if sys.platform == "linux" else str(folder)


def _start(process: "ForkServerProcess") -> None:
    """Start it, and keep multiprocessing from looking how it ended: who looks second finds 255, whatever it was."""
    process.start()
    multiprocessing.process._children.discard(process)  # type: ignore[attr-defined] # noqa: SLF001 - no public way


def _listen(reader: Connection, on_stage: Callable[[str], None]) -> bool:
    """Hear what the child has said so far, one JSON object a line; True when it said that it is done."""
    with contextlib.suppress(EOFError):  # it ended; its exit code says how
        while reader.poll():
            word = json.loads(reader.recv_bytes())
            if "reason" in word:
                error: type[SummaryStatsError] = BY_REASON[word["reason"]]
                raise error(word["error"])
            if "done" in word:
                return True
            on_stage(word["stage"])
    return False


def _epitaph(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (the kernel's, if memory ran out)" if name == "SIGKILL" else ""
        return f"the project's process died of {name}{hint}"
    if exit_code == FORK_SERVER_DIED:
        return "the project's process died with the one that it was forked from"
    return f"the project's process ended with exit code {exit_code}"


@contextlib.contextmanager
def _stirring(event: asyncio.Event, *descriptors: int) -> Iterator[None]:
    """Set ``event`` whenever one of ``descriptors`` has something to read."""
    loop = asyncio.get_running_loop()
    for descriptor in descriptors:
        loop.add_reader(descriptor, event.set)
    try:
        yield
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


def _check_warm() -> None:
    """Fail where the imports failed, which the fork server keeps to itself."""
    if "worker.warm" not in sys.modules:
        importlib.import_module("worker.warm")


def _enter(job: Job, writer: Connection) -> None:
    """The child's first step; imported late so that the parent never has the job's libraries."""
    die_with_parent()
    leave_signals_to_parent()
    faulthandler.enable()
    if job.memory_mib:
        limits.bound_memory(job.memory_mib)
    from worker import job as work  # noqa: PLC0415

    work.main(job, writer)


def leave_signals_to_parent() -> None:
    """Ignore what a terminal or a supervisor sends to all processes of a group."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent() -> None:
    """Linux ends this process when the one that started it ends (prctl(2)); to be called again after a fork."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT_PID]):  # it ended before
        os._exit(1)
