"""How far a long command is: a line that moves on a terminal, log lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Final

from rich.console import Console

from shared import telemetry

REFRESH_SECONDS: Final = 0.2
LOG_SECONDS: Final = 10
LOG_ITEMS: Final = 5_000


def watched[T](
    items: Iterable[T], noun: str, *, live: bool = True, clock: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """``items``, counted on stderr as they pass; ``live`` allows the moving line where stderr is a terminal."""
    moving = live and sys.stderr.isatty()
    status = Console(stderr=True).status(f"0 {noun}") if moving else None
    with status or nullcontext():
        told_at, told = clock(), 0
        for count, item in enumerate(items, start=1):
            yield item
            elapsed = clock() - told_at
            if status and elapsed >= REFRESH_SECONDS:
                status.update(f"{count:,} {noun}")
                told_at = clock()
            elif not status and (elapsed >= LOG_SECONDS or count - told >= LOG_ITEMS):
                telemetry.logger("progress").info(f"{count:,} {noun}", count=count)
                told_at, told = clock(), count
