"""Work done ahead of whoever asks for it, in threads that end with the call."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

WORKERS: Final = 2
"""Threads that work beside the one that takes items: what is taken (inflated) keeps about one of them busy."""


def overlapped[Item, Result](
    items: Iterator[Item], work: Callable[[Item], Result], workers: int = WORKERS
) -> Generator[Result]:
    """``work`` of each item, in their order; ``items`` is advanced in a thread of its own.

    One item more than there are workers is taken ahead, no more. However it ends, with an error or because nobody asks
    any further, every thread has ended before it returns; what ``work`` and ``items`` raise is raised here, in order.
    """
    with ThreadPoolExecutor(1) as taking, ThreadPoolExecutor(workers) as working:

        def begin() -> Future[Result | None]:
            taken: Future[Item | None] = taking.submit(next, items, None)
            return working.submit(lambda: None if (item := taken.result()) is None else work(item))

        begun = deque(begin() for _ in range(workers + 1))
        while (result := begun.popleft().result()) is not None:
            begun.append(begin())
            yield result
