"""Blocks of counts brought into order: genes ascending within each cell, each once, no zeros."""

import numpy as np
import numpy.typing as npt

from worker.matrices.matrix import CountBlock

Indices = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]


def pointers(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Where each cell's entries start, (cells + 1,), from the entries of each, (cells,)."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def cell_of_entry(block: CountBlock) -> npt.NDArray[np.int64]:
    """The cell that each entry belongs to, (entries,), counted from the block's first."""
    return np.repeat(np.arange(block.n_cells, dtype=np.int64), np.diff(block.indptr))


def from_triplets(cells: npt.NDArray[np.integer], genes: Indices, values: Values, n_cells: int) -> CountBlock:
    """A block of ``n_cells`` from entries in any order; entries of one cell and gene are summed."""
    if np.any(np.diff(cells) < 0):
        order = np.argsort(cells, kind="stable")
        cells, genes, values = cells[order], genes[order], values[order]
    return ordered(CountBlock(pointers(np.bincount(cells, minlength=n_cells)), genes, values))


def ordered(block: CountBlock) -> CountBlock:
    """The same counts as CountBlock promises them; entries of one cell and gene are summed, in double precision."""
    if not _ascends(block):
        block = _sorted_and_summed(block)
    return select(block, block.values != 0)


def select(block: CountBlock, chosen: npt.NDArray[np.bool_]) -> CountBlock:
    """The chosen entries, (entries,), of the same cells."""
    if chosen.all():
        return block
    kept = np.concatenate(([0], np.cumsum(chosen, dtype=np.int64)))
    return CountBlock(kept[block.indptr], block.indices[chosen], block.values[chosen])


def _ascends(block: CountBlock) -> bool:
    """Whether genes ascend strictly within every cell."""
    descents = np.flatnonzero(block.indices[1:] <= block.indices[:-1]) + 1
    return bool(np.isin(descents, block.indptr).all())


def _sorted_and_summed(block: CountBlock) -> CountBlock:
    cells = cell_of_entry(block)
    key = cells * (int(block.indices.max()) + 1) + block.indices
    order = np.argsort(key, kind="stable")
    key, values = key[order], block.values[order]
    first = np.concatenate(([True], key[1:] != key[:-1]))
    if not first.all():
        values = np.add.reduceat(values.astype(np.float64), np.flatnonzero(first)).astype(np.float32)
    counts = np.bincount(cells[order][first], minlength=block.n_cells)
    return CountBlock(pointers(counts), block.indices[order][first], values)
