"""Dense matrices in HDF5, read along their own chunks: inflating one again for every cell would take for ever."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import numpy.typing as npt
from numba import njit

from worker.matrices import hdf5, scratch
from worker.matrices.blocks import Indices, Values, cell_of_entry
from worker.matrices.matrix import CountBlock
from worker.matrices.pipeline import overlapped
from worker.matrices.regroup import Regroup

TILE_BYTES: Final = 67_108_864
"""Values held at once, as they are stored and as float32 (64 MiB), whatever the chunks."""
_FLOAT32: Final = np.dtype(np.float32)


def dense_blocks(dataset: h5py.Dataset, cells_axis: int, room: Path) -> Iterator[CountBlock]:
    """All cells: in bands of whole chunks where these fit in TILE_BYTES, else tile by tile and regrouped on disk."""
    n_genes = dataset.shape[1 - cells_axis]
    fitting = TILE_BYTES // (_value_bytes(dataset) * max(1, n_genes))
    chunk = dataset.chunks[cells_axis] if dataset.chunks else 1
    if chunk <= fitting:
        return _bands(dataset, cells_axis, fitting // chunk * chunk)
    return _tiles(dataset, cells_axis, room)


def dense_sample(dataset: h5py.Dataset, cells_axis: int, count: int) -> Values:
    """Values that are not zero, of cells at the start, the middle and the end; at most about ``count`` of each."""
    n_cells, n_genes = dataset.shape[cells_axis], dataset.shape[1 - cells_axis]
    width = max(1, min(n_cells, count // max(1, n_genes)))
    starts = sorted({0, max(0, n_cells - width) // 2, max(0, n_cells - width)})
    bands = [_tile(dataset, cells_axis, slice(start, start + width), slice(None)).ravel() for start in starts]
    values = np.concatenate(bands)
    nonzero: Values = values[values != 0]
    return nonzero


def _value_bytes(dataset: h5py.Dataset) -> int:
    stored = int(dataset.dtype.itemsize)
    return stored if dataset.dtype == _FLOAT32 else stored + _FLOAT32.itemsize


def _bands(dataset: h5py.Dataset, cells_axis: int, width: int) -> Iterator[CountBlock]:
    n_cells = dataset.shape[cells_axis]
    bands = (slice(start, min(start + width, n_cells)) for start in range(0, n_cells, width))
    return overlapped(bands, lambda cells: _compressed(_tile(dataset, cells_axis, cells, slice(None)), cells_axis), 1)


def _tiles(dataset: h5py.Dataset, cells_axis: int, room: Path) -> Iterator[CountBlock]:
    n_cells, n_genes = dataset.shape[cells_axis], dataset.shape[1 - cells_axis]
    chunks = dataset.chunks or (1, 1)
    height, chunk = chunks[cells_axis], chunks[1 - cells_axis]
    width = max(chunk, TILE_BYTES // (_value_bytes(dataset) * height) // chunk * chunk)
    with scratch.subfolder(room) as folder:
        regroup = Regroup(folder, n_cells)
        for first_cell, first_gene in product(range(0, n_cells, height), range(0, n_genes, width)):
            cell_slice = slice(first_cell, min(first_cell + height, n_cells))
            gene_slice = slice(first_gene, min(first_gene + width, n_genes))
            tile = _compressed(_tile(dataset, cells_axis, cell_slice, gene_slice), cells_axis)
            cells = (cell_of_entry(tile) + first_cell).astype(np.int32)
            regroup.add(cells, tile.indices + np.int32(first_gene), tile.values)
        yield from regroup.blocks()


def _tile(dataset: h5py.Dataset, cells_axis: int, cells: slice, genes: slice) -> Values:
    """Values of some cells and genes, as they are stored: cells by genes or genes by cells."""
    where = (cells, genes) if cells_axis == 0 else (genes, cells)
    return hdf5.float32(hdf5.read(dataset, where), str(dataset.name))


def _compressed(tile: Values, cells_axis: int) -> CountBlock:
    """What is not zero, by cell; read in the order of memory whichever way it lies."""
    indptr = np.zeros(tile.shape[cells_axis] + 1, np.int64)
    _count(tile, cells_axis, indptr)
    np.cumsum(indptr, out=indptr)
    genes, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _collect(tile, cells_axis, indptr[:-1].copy(), genes, values)
    return CountBlock(indptr, genes, values)


@njit(cache=True, nogil=True)
def _count(tile: Values, cells_axis: int, indptr: npt.NDArray[np.int64]) -> None:
    """Count what is not zero in cell ``c`` in ``indptr[c + 1]``."""
    for row in range(tile.shape[0]):
        for column in range(tile.shape[1]):
            if tile[row, column] != 0:
                indptr[1 + (column if cells_axis else row)] += 1


@njit(cache=True, nogil=True)
def _collect(tile: Values, cells_axis: int, places: npt.NDArray[np.int64], genes: Indices, values: Values) -> None:
    """Put what is not zero where its cell's next place is."""
    for row in range(tile.shape[0]):
        for column in range(tile.shape[1]):
            if tile[row, column] != 0:
                cell, gene = (column, row) if cells_axis else (row, column)
                genes[places[cell]], values[places[cell]] = gene, tile[row, column]
                places[cell] += 1
