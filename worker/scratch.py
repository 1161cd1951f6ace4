"""The worker's own folder in the scratch directory: gone when it ends, and swept by the next where it was killed."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from shared import telemetry
from shared.errors import SettingsError
from worker.health import WORKER_FOLDER
from worker.matrices.scratch import writing

_UNBORN: Final = ".dpss-unborn-"
_LOCK: Final = "lock"
UNBORN_SECONDS: Final = 3_600
"""A folder that was not locked by then never will be: its worker was killed before."""

log = telemetry.logger("scratch")


@contextmanager
def worker_folder(scratch: Path) -> Iterator[Path]:
    """A folder below ``scratch`` until the block ends, after sweeping those whose workers are gone.

    It is locked before it has its name, and the kernel unlocks it however the worker ends.
    """
    try:
        _sweep(scratch)
        unborn = Path(tempfile.mkdtemp(dir=scratch, prefix=_UNBORN))
        lock = os.open(unborn / _LOCK, os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = unborn.rename(scratch / unborn.name.replace(_UNBORN, WORKER_FOLDER))
    except OSError as error:
        raise SettingsError(f"DPSS_SCRATCH_DIR: nothing can be written to {scratch} ({error.strerror})") from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            _remove(folder)
        os.close(lock)


@asynccontextmanager
async def project_folder(folder: Path) -> AsyncIterator[Path]:
    """A folder for one project until the block ends; removing a large one holds up neither lease nor release."""
    with writing(folder):
        made = Path(tempfile.mkdtemp(dir=folder, prefix="project-"))
    let_go = False
    try:
        yield made
    except asyncio.CancelledError:
        let_go = True
        raise
    finally:
        removing = asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, made, ignore_errors=True))
        if not let_go:
            await removing


def _sweep(scratch: Path) -> None:
    for folder in scratch.glob(f"{_UNBORN}*"):
        if time.time() - _made_at(folder) > UNBORN_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in scratch.glob(f"{WORKER_FOLDER}*"):
        with contextlib.suppress(OSError):  # another's, alive, or gone meanwhile
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
                log.warning("swept", folder=str(folder))
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """The lock last: what is left should we be killed is swept by the next."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != _LOCK:
            entry.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _made_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # it has its name by now
        return time.time()
