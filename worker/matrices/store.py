"""Counts by cell on disk: written once, read back from start to end, with the sums taken on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InternalError
from worker.matrices import scratch
from worker.matrices.blocks import cell_of_entry, pointers
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock

_GENES: Final = "genes.i32"
_VALUES: Final = "values.f32"


@dataclass(frozen=True, slots=True)
class Store:
    """Counts of ``n_cells`` cells in ``folder``, and their sums.

    ``cell_counts`` float64 (cells,) sum of counts; ``cell_genes`` int32 (cells,) genes with a count;
    ``gene_counts`` float64 (genes,) sum of counts; ``gene_cells`` int64 (genes,) cells with a count.
    """

    folder: Path
    cell_counts: npt.NDArray[np.float64]
    cell_genes: npt.NDArray[np.int32]
    gene_counts: npt.NDArray[np.float64]
    gene_cells: npt.NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        """Cells stored."""
        return len(self.cell_counts)

    @property
    def n_genes(self) -> int:
        """Genes that the indices run over."""
        return len(self.gene_counts)

    @property
    def n_nonzero(self) -> int:
        """Entries stored."""
        return int(self.gene_cells.sum())

    def blocks(self) -> Iterator[CountBlock]:
        """All cells in the order they were appended, in blocks of about BLOCK_ENTRIES."""
        ends = pointers(self.cell_genes)
        with (self.folder / _GENES).open("rb") as genes, (self.folder / _VALUES).open("rb") as values:
            start = 0
            while start < self.n_cells:
                stop = max(start + 1, int(np.searchsorted(ends, ends[start] + BLOCK_ENTRIES, side="right")) - 1)
                count = int(ends[stop] - ends[start])
                block = CountBlock(
                    ends[start : stop + 1] - ends[start],
                    np.fromfile(genes, np.int32, count),
                    np.fromfile(values, np.float32, count),
                )
                if len(block.values) != count or len(block.indices) != count:
                    raise InternalError(f"{self.folder}: the store ends before cell {stop:,} of {self.n_cells:,}")
                yield block
                start = stop


class StoreWriter:
    """Takes blocks of consecutive cells; the genes may grow from one block to the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with scratch.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in (_GENES, _VALUES):
                (folder / name).write_bytes(b"")
        self._cell_counts: list[npt.NDArray[np.float64]] = []
        self._cell_genes: list[npt.NDArray[np.int32]] = []
        self._gene_counts = np.zeros(0, np.float64)
        self._gene_cells = np.zeros(0, np.int64)

    def append(self, block: CountBlock) -> None:
        """Write a block; ScratchFullError where there is no room."""
        with scratch.writing(self._folder):
            _append(self._folder / _GENES, block.indices)
            _append(self._folder / _VALUES, block.values)
        self._cell_counts.append(np.bincount(cell_of_entry(block), block.values, block.n_cells))
        self._cell_genes.append(np.diff(block.indptr).astype(np.int32))
        self._gene_counts = _added(self._gene_counts, np.bincount(block.indices, block.values))
        self._gene_cells = _added(self._gene_cells, np.bincount(block.indices))

    def close(self, n_genes: int) -> Store:
        """What was written, over ``n_genes`` genes."""
        return Store(
            self._folder,
            np.concatenate([np.zeros(0, np.float64), *self._cell_counts]),
            np.concatenate([np.zeros(0, np.int32), *self._cell_genes]),
            _added(self._gene_counts, np.zeros(n_genes)),
            _added(self._gene_cells, np.zeros(n_genes, np.int64)),
        )


def _append(path: Path, array: npt.NDArray[np.generic]) -> None:
    with path.open("ab") as file:
        file.write(np.ascontiguousarray(array).data)


def _added[Number: (np.float64, np.int64)](
    total: npt.NDArray[Number], part: npt.NDArray[Number]
) -> npt.NDArray[Number]:
    """The sum of two arrays, the shorter one filled with zeros."""
    long, short = (total, part) if len(total) >= len(part) else (part, total)
    result = long.copy()
    result[: len(short)] += short
    return result
