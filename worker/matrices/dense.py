"""Dense matrices in HDF5, read along their own chunks: inflating one again for every cell would take for ever."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from worker.matrices import hdf5, scratch
from worker.matrices.blocks import Values, from_triplets
from worker.matrices.matrix import CountBlock
from worker.matrices.regroup import Regroup

TILE_BYTES: Final = 134_217_728
"""Values held at once, as float32 (128 MiB), whatever the chunks."""
_VALUE_BYTES: Final = 4


def dense_blocks(dataset: h5py.Dataset, cells_axis: int, room: Path) -> Iterator[CountBlock]:
    """All cells: in bands of whole chunks where these fit in TILE_BYTES, else tile by tile and regrouped on disk."""
    n_genes = dataset.shape[1 - cells_axis]
    fitting = TILE_BYTES // (_VALUE_BYTES * max(1, n_genes))
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


def _bands(dataset: h5py.Dataset, cells_axis: int, width: int) -> Iterator[CountBlock]:
    n_cells = dataset.shape[cells_axis]
    for start in range(0, n_cells, width):
        band = _tile(dataset, cells_axis, slice(start, min(start + width, n_cells)), slice(None))
        cells, genes = np.nonzero(band)
        yield from_triplets(cells.astype(np.int32), genes.astype(np.int32), band[cells, genes], len(band))


def _tiles(dataset: h5py.Dataset, cells_axis: int, room: Path) -> Iterator[CountBlock]:
    n_cells, n_genes = dataset.shape[cells_axis], dataset.shape[1 - cells_axis]
    height, chunk = dataset.chunks[cells_axis], dataset.chunks[1 - cells_axis]
    width = max(chunk, TILE_BYTES // (_VALUE_BYTES * height) // chunk * chunk)
    with scratch.subfolder(room) as folder:
        regroup = Regroup(folder, n_cells)
        for first_cell, first_gene in product(range(0, n_cells, height), range(0, n_genes, width)):
            cell_slice = slice(first_cell, min(first_cell + height, n_cells))
            gene_slice = slice(first_gene, min(first_gene + width, n_genes))
            tile = _tile(dataset, cells_axis, cell_slice, gene_slice)
            cells, genes = np.nonzero(tile)
            found = (cells + first_cell).astype(np.int32), (genes + first_gene).astype(np.int32)
            regroup.add(*found, tile[cells, genes])
        yield from regroup.blocks()


def _tile(dataset: h5py.Dataset, cells_axis: int, cells: slice, genes: slice) -> Values:
    """Values of some cells and genes, cells by genes."""
    where = (cells, genes) if cells_axis == 0 else (genes, cells)
    values = hdf5.float32(hdf5.read(dataset, where), str(dataset.name))
    return values if cells_axis == 0 else values.T
