"""Where a matrix lands: a file in the scratch folder that it is known to fit into."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import tenacity

from shared.errors import ScratchFullError
from shared.keys import shown

CHUNK_BYTES: Final = 1_048_576
SCRATCH_FACTOR: Final = 3
"""Room wanted before a matrix is fetched, in times its size: the file, its store, and the regrouping."""
NAME_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Landed:
    """A whole file; ``etag`` as the store gives it, without quotes."""

    path: Path
    etag: str | None
    sha256: str


class InVain(tenacity.stop.stop_base):
    """Give up after so many tries in a row that brought nothing; ``received`` bytes so far."""

    def __init__(self, tries: int, received: Callable[[], int]) -> None:
        self._tries = tries
        self._received = received
        self._most = 0
        self._at = 0

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        """Whether to give up, after a try that failed."""
        if self._received() > self._most:
            self._most, self._at = self._received(), retry_state.attempt_number
        return retry_state.attempt_number - self._at >= self._tries


def check_room(uri: str, size: int, folder: Path) -> None:
    """ScratchFullError where ``size`` bytes and what is made of them do not fit into ``folder``."""
    free = shutil.disk_usage(folder).free
    if size * SCRATCH_FACTOR > free:
        raise ScratchFullError(
            f"{shown(uri)} of {size / 1e6:,.0f} MB wants {SCRATCH_FACTOR} times that in {folder.parent}, "
            f"which has {free / 1e6:,.0f} MB left; give DPSS_SCRATCH_DIR more room"
        )


def file_name(place: str) -> str:
    """What messages call the file: the end of its name, which may be longer than a file system takes."""
    name = "".join(filter(str.isprintable, PurePosixPath(place).name))[-NAME_CHARACTERS:]
    return name if name.strip(".") else "matrix"


def named_place(uri: str) -> str:
    """Where the file lies, by its name: a portal's address has that in ``fileName``, and a mere number in its path."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return uri
    name = dict(parse_qsl(parts.query)).get("fileName", "")
    return f"{parts.netloc}/{name}" if name and "/" not in name else parts.netloc + parts.path
