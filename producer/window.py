"""A stream through several threads: order kept, memory bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

AHEAD: Final = 4
"""Items in hand for each thread, so that a slow one at the head of the line leaves none idle."""


def ordered[T, R](function: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
    """``function`` of each item, in order; at most ``workers * AHEAD`` items are in hand at once."""
    pending = deque[Future[R]]()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= workers * AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
