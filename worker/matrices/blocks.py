"""Entries brought into blocks of cells, and blocks into order: genes ascending in each cell, each once, no zeros."""

import numpy as np
import numpy.typing as npt
from numba import njit

from worker.matrices.matrix import CountBlock

Indices = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]


def pointers(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Where each cell's entries start, (cells + 1,), from the entries of each, (cells,)."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def cell_of_entry(block: CountBlock) -> npt.NDArray[np.int64]:
    """The cell that each entry belongs to, (entries,), counted from the block's first."""
    return np.repeat(np.arange(block.n_cells, dtype=np.int64), np.diff(block.indptr))


def starts_of_cells(cells: Indices, first: int, n_cells: int) -> npt.NDArray[np.int64] | None:
    """Where the entries of each of ``n_cells`` cells from ``first`` on start, (cells + 1,); None if cells descend."""
    indptr = np.empty(max(n_cells, 0) + 1, np.int64)
    return indptr if _find_starts(cells, first, n_cells, indptr) else None


def from_triplets(cells: Indices, genes: Indices, values: Values, n_cells: int) -> CountBlock:
    """A block of ``n_cells`` from entries in any order; those of one cell stay in theirs."""
    indptr = starts_of_cells(cells, 0, n_cells)
    if indptr is not None:
        return CountBlock(indptr, genes, values)
    indptr = np.zeros(n_cells + 1, np.int64)
    to_genes, to_values = np.empty_like(genes), np.empty_like(values)
    _sort_by_cell(cells, genes, values, indptr, to_genes, to_values)
    return CountBlock(indptr, to_genes, to_values)


def ordered(block: CountBlock) -> CountBlock:
    """The same counts as CountBlock promises them; entries of one cell and gene are summed, in double precision."""
    if _is_ordered(block.indptr, block.indices, block.values):
        return block
    block = _sorted_and_summed(block)
    return select(block, block.values != 0)


def select(block: CountBlock, chosen: npt.NDArray[np.bool_]) -> CountBlock:
    """The chosen entries, (entries,), of the same cells."""
    kept = np.concatenate(([0], np.cumsum(chosen, dtype=np.int64)))
    return CountBlock(kept[block.indptr], block.indices[chosen], block.values[chosen])


@njit(cache=True, nogil=True)
def _find_starts(cells: Indices, first: int, n_cells: int, indptr: npt.NDArray[np.int64]) -> bool:
    if len(cells) and n_cells < 1:
        return False
    reached = indptr[0] = 0
    for entry in range(len(cells)):
        cell = cells[entry] - first
        if cell != reached:
            if cell < reached or cell >= n_cells:
                return False
            indptr[reached + 1 : cell + 1] = entry
            reached = cell
    indptr[reached + 1 :] = len(cells)
    return True


@njit(cache=True, nogil=True)
def _sort_by_cell(
    cells: Indices,
    genes: Indices,
    values: Values,
    indptr: npt.NDArray[np.int64],
    to_genes: Indices,
    to_values: Values,
) -> None:
    for cell in cells:
        indptr[cell + 1] += 1
    for cell in range(len(indptr) - 1):
        indptr[cell + 1] += indptr[cell]
    places = indptr.copy()
    for entry in range(len(cells)):
        place = places[cells[entry]]
        to_genes[place], to_values[place] = genes[entry], values[entry]
        places[cells[entry]] += 1


@njit(cache=True, nogil=True)
def _is_ordered(indptr: npt.NDArray[np.int64], genes: Indices, values: Values) -> bool:
    for cell in range(len(indptr) - 1):
        last = -1
        for entry in range(indptr[cell], indptr[cell + 1]):
            if genes[entry] <= last or values[entry] == 0:
                return False
            last = genes[entry]
    return True


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
