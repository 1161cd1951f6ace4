"""Counts to expression: each cell brought to the same sum, then ln(1 + x), as scanpy does."""

from typing import Any

import numba
import numpy as np

from shared.pipeline import TARGET_SUM
from worker.matrices.matrix import CountBlock
from worker.stats import lanes
from worker.stats.counts import Counts
from worker.stats.summary import Doubles, Floats, Integers

ABSENT = np.int32(-1)
"""The column of a gene that is not looked at."""
SMALL_COUNTS = 16
"""Counts below this, most of all, have their logarithm taken once a cell."""


def scales(cell_counts: Doubles) -> Doubles:
    """What brings each cell to TARGET_SUM, (cells,); a cell without counts stays at zero."""
    return np.divide(TARGET_SUM, cell_counts, out=np.zeros_like(cell_counts), where=cell_counts > 0)


def columns_of(genes: Integers, n_genes: int) -> Integers:
    """The place of each gene among ``genes``, (genes,), or ABSENT."""
    columns = np.full(n_genes, ABSENT, np.int32)
    columns[genes] = np.arange(len(genes), dtype=np.int32)
    return columns


def gathered(counts: Counts, genes: Integers) -> Floats:
    """Normalised expression of a few genes, dense, (cells, genes)."""
    factors, columns = scales(counts.cell_counts), columns_of(genes, counts.n_genes)
    values = np.zeros((counts.n_cells, len(genes)), np.float32)

    def look(cells: slice, block: CountBlock) -> None:
        _pick(block, factors[cells], columns, values[cells])

    lanes.visited(counts, look)
    return values


@numba.njit(cache=True, nogil=True)
def _pick(block: CountBlock, scales: Doubles, columns: Integers, picked: Floats) -> None:
    for cell in range(len(scales)):
        for entry in range(block.indptr[cell], block.indptr[cell + 1]):
            column = columns[block.indices[entry]]
            if column != ABSENT:
                picked[cell, column] = normalized(block.values[entry], scales[cell])


@numba.njit(cache=True, nogil=True)
def normalized(value: np.float32, scale: float) -> Any:
    """One count, rounded to single precision as scanpy stores it."""
    return np.float32(value * scale)


@numba.njit(cache=True, nogil=True)
def small_logs(logs: Floats, scale: float) -> None:
    """Fill ``logs`` with what the counts 0, 1, … of a cell become."""
    for count in range(len(logs)):
        logs[count] = np.log1p(normalized(np.float32(count), scale))


@numba.njit(cache=True, nogil=True)
def log_normalized(value: np.float32, scale: float, logs: Floats) -> Any:
    """ln(1 + normalised) of one count; ``logs`` from ``small_logs`` of the same cell."""
    if value < len(logs):
        count = np.int32(value)
        if np.float32(count) == value:
            return logs[count]
    return np.log1p(normalized(value, scale))
