"""Commands that are told to stop leave nothing behind."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def unwound() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that temporary folders go and started processes end."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
