"""What becomes of memory that is freed, where the C library can be told (glibc).

Blocks of counts come and go all the time; what a stage has let go the next one has no use for.
"""

import ctypes
from typing import Any, Final

KEPT_BYTES: Final = 134_217_728
"""Up to 128 MiB stay with the process while a stage lasts."""
MAPPED_FROM_BYTES: Final = 33_554_432
"""From 32 MiB on an allocation is a mapping of its own, which goes back to the kernel as soon as it is freed."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt(3)."""


def keep_freed() -> None:
    """Use again what is freed, from now on.

    By itself glibc gives a megabyte back as soon as it can, and every page of the next one is faulted in and cleared:
    a quarter of the time that reading takes (measured).
    """
    if mallopt := _function("mallopt"):
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Give the kernel what is free: up to 300 MiB after clusters were found (measured)."""
    if malloc_trim := _function("malloc_trim"):
        malloc_trim(0)


def _function(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None)
