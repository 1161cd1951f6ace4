"""A child process per project, seen from the parent: started warm, watched, and killed when it must be.

Children are forked by one process that has the heavy imports behind it (multiprocessing's fork server), so that a small
project does not wait for them and the parent stays small.
"""

import asyncio
import contextlib
import ctypes
import importlib
import json
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

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


@dataclass(frozen=True, slots=True)
class Job:
    """What a child is told; plain values, since they cross to another process. ``matrices`` as in the message."""

    project_id: str
    matrices: tuple[dict[str, Any], ...]
    key_prefix: str
    folder: str
    figure_formats: tuple[str, ...]
    log_format: LogFormat
    log_context: dict[str, Any]
    portal_url: str = ""
    allowed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one project may use."""

    memory_mib: int | None
    seconds: float


class Children:
    """Starts children and sees them to their end."""

    def __init__(self, ceilings: Ceilings) -> None:
        self._ceilings = ceilings
        self._context = multiprocessing.get_context("forkserver")
        self._imported = asyncio.Event()
        self._warm = False

    def warm(self) -> None:
        """Start the process that children are forked from; it imports while the parent goes on.

        To be called in the main thread: Linux kills the process when the thread that started it ends.
        """
        self._context.set_forkserver_preload(["worker.tied", "worker.warm"])
        forkserver.ensure_running()
        threading.Thread(target=self._fork_one, args=(asyncio.get_running_loop(),), daemon=True).start()

    def _fork_one(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fork a child that looks whether it is warm: it comes when the imports are done, or never."""
        process = self._context.Process(target=_check_warm, daemon=True)
        with contextlib.suppress(EOFError, OSError):
            process.start()
            process.join()
        self._warm = process.pid is not None and process.exitcode == 0
        with contextlib.suppress(RuntimeError):  # the worker ended meanwhile
            loop.call_soon_threadsafe(self._imported.set)

    async def ready(self) -> None:
        """Wait until children can be forked; InternalError where they cannot, for no project could be worked."""
        await self._imported.wait()
        if not self._warm:
            raise InternalError("the process that children are forked from did not start; its last words are above")

    async def run(self, job: Job, on_stage: Callable[[str], None]) -> None:
        """Work ``job`` to its end; raises what the child raised or became. Cancelled: the child is killed."""
        reader, writer = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_enter, args=(job, writer), daemon=True)
        starting = asyncio.ensure_future(asyncio.to_thread(process.start))
        try:
            await asyncio.shield(starting)
            writer.close()  # else its end would never be heard
            async with asyncio.timeout(self._ceilings.seconds):
                await self._watch(process, reader, on_stage)
        except (EOFError, ConnectionError) as error:
            raise JobCrashedError(f"the project's process could not be started: {error!r}") from None
        except TimeoutError:
            raise JobTimeoutError(f"stopped after {self._ceilings.seconds:,.0f} s (DPSS_JOB_TIMEOUT_SECONDS)") from None
        finally:
            await _end(process, starting)
            reader.close()

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
        used, ceiling = limits.resident_mib(process.pid or 0), self._ceilings.memory_mib
        if used and ceiling and used > ceiling:
            raise JobOutOfMemoryError(
                f"stopped at {used:,.0f} MiB, above its ceiling of {ceiling:,} MiB (DPSS_JOB_MEMORY_MIB)"
            )


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
    return f"the project's process ended with exit code {exit_code}"


async def _end(process: "ForkServerProcess", starting: asyncio.Future[None]) -> None:
    """No child is left, whatever happened; uncancelled, since a child that is still being started has to be awaited."""
    with contextlib.suppress(BaseException):
        await starting
    if process.pid:
        process.kill()
        await asyncio.to_thread(process.join)


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
