"""Work over all blocks of counts, side by side: numba kernels and numpy let go of Python's lock."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from worker.matrices.matrix import CountBlock
from worker.stats.counts import Counts

LANES: Final = 4
"""Each takes every fourth block to sums of its own, so that these are the same whatever the number of threads."""


def summed[Sums](
    counts: Counts, start: Callable[[], Sums], add: Callable[[Sums, slice, CountBlock], None]
) -> list[Sums]:
    """The sums of each lane: begun by ``start``, then given the cells and counts of its blocks by ``add``.

    No thread is left behind: a forked process has no use for those of its parent.
    """

    def walk(lane: int) -> Sums:
        sums = start()
        for number in range(lane, len(counts.cells), LANES):
            add(sums, counts.cells[number], counts.block(number))
        return sums

    with ThreadPoolExecutor(min(LANES, n_threads())) as threads:
        return list(threads.map(walk, range(min(LANES, len(counts.cells)))))


def visited(counts: Counts, look: Callable[[slice, CountBlock], None]) -> None:
    """Show every block to ``look``, which may write what belongs to its own cells."""
    summed(counts, lambda: None, lambda _, cells, block: look(cells, block))


def n_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
