"""Counts to expression, block by block: each cell to the same sum, then ln(1 + x), as scanpy does."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from shared.pipeline import TARGET_SUM
from worker.matrices.matrix import CountBlock
from worker.stats.counts import Counts
from worker.stats.summary import Doubles, Floats, Integers

Block = tuple[slice, Any]
"""Which cells, and their values: csr_array (cells of the block, genes), float32, indices ascending."""


def normalized(counts: Counts, genes: Integers | None = None) -> Iterator[Block]:
    """Each cell's counts brought to TARGET_SUM; with ``genes`` (ascending) only their columns, in that order.

    A cell without counts stays at zero.
    """
    scales = _scales(counts.cell_counts)
    columns = None if genes is None else _columns(genes, counts.n_genes)
    n_columns = counts.n_genes if genes is None else len(genes)
    first = 0
    for block in counts.blocks():
        cells = slice(first, first + block.n_cells)
        chosen = block if columns is None else _restricted(block, columns)
        factors = np.repeat(scales[cells], np.diff(chosen.indptr))
        values = np.multiply(chosen.values, factors, dtype=np.float64).astype(np.float32)
        yield cells, sparse.csr_array((values, chosen.indices, chosen.indptr), shape=(block.n_cells, n_columns))
        first = cells.stop


def log_normalized(counts: Counts, genes: Integers | None = None) -> Iterator[Block]:
    """The natural logarithm of one plus what ``normalized`` gives."""
    for cells, block in normalized(counts, genes):
        np.log1p(block.data, out=block.data)
        yield cells, block


def gathered(blocks: Iterable[Block], n_cells: int, n_columns: int) -> Floats:
    """Blocks of a few genes as one dense array, (cells, columns)."""
    values = np.empty((n_cells, n_columns), np.float32)
    for cells, block in blocks:
        values[cells] = block.toarray()
    return values


def _scales(cell_counts: Doubles) -> Doubles:
    return np.divide(TARGET_SUM, cell_counts, out=np.zeros_like(cell_counts), where=cell_counts > 0)


def _columns(genes: Integers, n_genes: int) -> Integers:
    columns = np.full(n_genes, -1, np.int32)
    columns[genes] = np.arange(len(genes), dtype=np.int32)
    return columns


def _restricted(block: CountBlock, columns: Integers) -> CountBlock:
    """The entries of some genes, renumbered by ``columns`` (genes,), -1 for those left out."""
    indices = columns[block.indices]
    kept = np.flatnonzero(indices >= 0)
    return CountBlock(np.searchsorted(kept, block.indptr), indices[kept], block.values[kept])
