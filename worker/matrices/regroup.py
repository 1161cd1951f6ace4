"""Entries in any order brought together by cell, on disk: buckets of cells, each small enough to sort in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, from_triplets
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock

MAX_BUCKETS: Final = 256
"""Files written by turns."""
MAX_BUCKET_ENTRIES: Final = 4 * BLOCK_ENTRIES
"""What is sorted in memory at once, some 400 MB at its height; a fuller bucket is split again."""
_PIECE_ENTRIES: Final = BLOCK_ENTRIES // 2
_ENTRY: Final = np.dtype([("cell", "<i4"), ("gene", "<i4"), ("value", "<f4")])

Triplets = tuple[Indices, Indices, Values]
"""Cells, genes and values of entries, (entries,) each; indices from 0."""


class Regroup:
    """Takes entries of ``n_cells`` in any order; gives them back by cell. Repeated entries are summed.

    ``folder`` must exist and be empty; ``n_entries`` is how many are expected, or None.
    """

    def __init__(
        self,
        folder: Path,
        n_cells: int,
        n_entries: int | None = None,
        max_bucket_entries: int = MAX_BUCKET_ENTRIES,
    ) -> None:
        self._folder = folder
        self._n_cells = n_cells
        self._max_bucket_entries = max_bucket_entries
        wanted = MAX_BUCKETS if n_entries is None else min(MAX_BUCKETS, 1 + 2 * n_entries // max_bucket_entries)
        self._width = max(1, -(-n_cells // wanted))

    def add(self, cells: Indices, genes: Indices, values: Values) -> None:
        """Spool entries; ScratchFullError where there is no room."""
        if not len(cells):
            return
        buckets = cells // self._width
        order = np.argsort(buckets, kind="stable")
        entries = np.empty(len(cells), _ENTRY)
        entries["cell"], entries["gene"], entries["value"] = cells[order], genes[order], values[order]
        numbers, starts = np.unique(buckets[order], return_index=True)
        with scratch.writing(self._folder):
            for number, part in zip(numbers, np.split(entries, starts[1:]), strict=True):
                with (self._folder / str(number)).open("ab") as file:
                    file.write(part.tobytes())

    def blocks(self) -> Iterator[CountBlock]:
        """All cells in order. May be read again."""
        for number in range(-(-self._n_cells // self._width)):
            first = number * self._width
            yield from self._bucket(number, first, min(self._width, self._n_cells - first))

    def _bucket(self, number: int, first: int, n_cells: int) -> Iterator[CountBlock]:
        path = self._folder / str(number)
        n_entries = path.stat().st_size // _ENTRY.itemsize if path.exists() else 0
        if n_entries <= self._max_bucket_entries:
            entries = np.fromfile(path, _ENTRY) if n_entries else np.empty(0, _ENTRY)
            yield from_triplets(entries["cell"] - first, entries["gene"], entries["value"], n_cells)
        elif n_cells == 1:
            yield _summed(path)
        else:
            yield from self._split(path, first, n_cells, n_entries)

    def _split(self, path: Path, first: int, n_cells: int, n_entries: int) -> Iterator[CountBlock]:
        with scratch.subfolder(self._folder) as folder:
            finer = Regroup(folder, n_cells, n_entries, self._max_bucket_entries)
            for entries in _pieces(path):
                finer.add(entries["cell"] - first, entries["gene"], entries["value"])
            yield from finer.blocks()


def _pieces(path: Path) -> Iterator[npt.NDArray[np.void]]:
    with path.open("rb") as file:
        while len(entries := np.fromfile(file, _ENTRY, _PIECE_ENTRIES)):
            yield entries


def _summed(path: Path) -> CountBlock:
    """One cell whose entries, many times repeated, would not fit in memory."""
    sums = np.zeros(0, np.float64)
    for entries in _pieces(path):
        part = np.bincount(entries["gene"], entries["value"], minlength=len(sums))
        part[: len(sums)] += sums
        sums = part
    genes = np.flatnonzero(sums)
    return CountBlock(np.array([0, len(genes)], np.int64), genes.astype(np.int32), sums[genes].astype(np.float32))
