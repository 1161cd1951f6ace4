"""MatrixMarket coordinate files, genes by cells or cells by genes, with the tables of their genes and cells.

https://math.nist.gov/MatrixMarket/formats.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import CorruptMatrixError
from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, ordered, starts_of_cells
from worker.matrices.counted import CountedMatrix
from worker.matrices.market_text import BANNER, Entries, Shape, read_shape
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock
from worker.matrices.regroup import Regroup
from worker.matrices.streams import Source, inflated
from worker.matrices.tables import read_cells, read_features


class EntriesOutOfOrderError(CorruptMatrixError):
    """The entries came by cell for a while, and then did not. ``blocks`` called again regroups them."""


def is_market(start: bytes) -> bool:
    """Whether a file that starts like this is MatrixMarket."""
    return start[: len(BANNER)].lower() == BANNER


def open_market(
    matrix: Source, features: Source, cells: Source, folder: str, room: Path, *, cells_in_rows: bool = False
) -> CountedMatrix:
    """A matrix and its tables; CorruptMatrixError where they do not fit together.

    Their lengths tell which side is which; ``cells_in_rows`` counts where both are as long.
    """
    with inflated(matrix) as stream:
        shape = read_shape(stream, matrix.name)
    feature_table = read_features(features)
    cell_table = read_cells(cells)
    by_column = _cells_in_columns(shape, len(feature_table), len(cell_table.cells), matrix.name)
    by_column = by_column and not (cells_in_rows and shape.n_rows == shape.n_columns)
    entries = Entries(matrix, shape, cells_in_columns=by_column)
    axes = "genes by cells" if by_column else "cells by genes"
    return CountedMatrix(
        place=matrix.name,
        name=folder,
        features=feature_table,
        cells=cell_table.cells,
        raw_blocks=ByCell(entries, len(cell_table.cells), room).blocks,
        species=cell_table.species,
        notes=(f"{matrix.name} is {axes}; genes from {features.name}, cells from {cells.name}.", *cell_table.notes),
    )


def _cells_in_columns(shape: Shape, n_features: int, n_cells: int, name: str) -> bool:
    """Whether columns are cells; CorruptMatrixError if the tables fit neither way round."""
    if (shape.n_rows, shape.n_columns) == (n_features, n_cells):
        return True
    if (shape.n_rows, shape.n_columns) == (n_cells, n_features):
        return False
    raise CorruptMatrixError(
        f"{name}: {shape.n_rows:,} rows by {shape.n_columns:,} columns, but the tables beside it have"
        f" {n_features:,} genes and {n_cells:,} cells; send matrix and tables of the same run"
    )


class ByCell:
    """Entries as blocks of cells: as they come while they come by cell, regrouped on disk if they do not."""

    def __init__(self, entries: Entries, n_cells: int, room: Path) -> None:
        self._entries = entries
        self._n_cells = n_cells
        self._room = room
        self._in_order = True

    def blocks(self) -> Iterator[CountBlock]:
        """All cells, in order; EntriesOutOfOrderError if it shows too late that they have to be regrouped."""
        if self._in_order:
            begun = False
            try:
                for block in self._as_they_come():
                    begun = True
                    yield block
            except EntriesOutOfOrderError:
                self._in_order = False
                if begun:
                    raise
        if not self._in_order:
            yield from self._regrouped()

    def _as_they_come(self) -> Iterator[CountBlock]:
        """The cell that two pieces of the file share is a block of its own: the others need not be moved."""
        first = 0
        kept = _CellEntries(np.empty(0, np.int32), np.empty(0, np.float32))
        for cells, genes, values in self._entries.triplets():
            last = int(cells[-1]) if len(cells) else first
            starts = starts_of_cells(cells, first, last - first + 1)
            if starts is None:
                raise EntriesOutOfOrderError(
                    f"{self._entries.name}: entries come by cell up to cell {first + 1:,}, then go back to an earlier"
                    " one; send them sorted by cell"
                )
            kept = kept.and_then(genes[: starts[1]], values[: starts[1]])
            if last > first:
                yield kept.block(1)
                whole = slice(starts[1], starts[-2])
                yield CountBlock(starts[1:-1] - starts[1], genes[whole], values[whole])
                kept = _CellEntries(genes[whole.stop :], values[whole.stop :])
                first = last
        yield kept.block(self._n_cells - first)

    def _regrouped(self) -> Iterator[CountBlock]:
        with scratch.subfolder(self._room) as folder:
            regroup = Regroup(folder, self._n_cells, self._entries.n_entries)
            for cells, genes, values in self._entries.triplets():
                regroup.add(cells, genes, values)
            yield from regroup.blocks()


@dataclass(frozen=True, slots=True)
class _CellEntries:
    """Entries of one cell, of which more may come."""

    genes: Indices
    values: Values

    def and_then(self, genes: Indices, values: Values) -> "_CellEntries":
        """With those that follow; where there are too many to keep, those of a gene are summed."""
        both = _CellEntries(np.concatenate((self.genes, genes)), np.concatenate((self.values, values)))
        if len(both.genes) <= BLOCK_ENTRIES:
            return both
        summed = ordered(both.block(1))
        return _CellEntries(summed.indices, summed.values)

    def block(self, n_cells: int) -> CountBlock:
        """The cell and those after it, which have none."""
        indptr = np.full(n_cells + 1, len(self.genes), np.int64)
        indptr[0] = 0
        return CountBlock(indptr, self.genes, self.values)
