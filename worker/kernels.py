"""Compiled kernels that an image brought along."""

import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

CACHE: Final = "NUMBA_CACHE_DIR"
"""The variable that tells numba where compiled kernels are kept."""


def adopt(environ: MutableMapping[str, str], room: Path) -> None:
    """Have the kernels where they can be written to, in ``room`` if need be: elsewhere numba does not even read them.

    To be called before numba is imported.
    """
    baked = environ.get(CACHE)
    if baked and Path(baked).is_dir() and not os.access(baked, os.W_OK):
        environ[CACHE] = str(shutil.copytree(baked, room / "kernels"))
