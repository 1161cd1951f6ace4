"""The room a matrix is unpacked and regrouped in: running out of it is a failure with a name."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import ScratchFullError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn "no space left on device" and its kin into ScratchFullError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise ScratchFullError(
            f"{folder}: {error.strerror}; give DPSS_SCRATCH_DIR more room, or fewer projects at once"
        ) from error


@contextmanager
def subfolder(scratch: Path) -> Iterator[Path]:
    """An empty folder below ``scratch``, gone afterwards."""
    with writing(scratch):
        folder = tempfile.TemporaryDirectory(dir=scratch)
    with folder as name:
        yield Path(name)
