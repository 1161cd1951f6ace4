"""Entries in any order brought together by cell, on disk: buckets of cells, each small enough to sort in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock

MAX_BUCKETS: Final = 1_024
"""Parts that a piece of entries is written in: some 1,000 entries of each at once."""
UNKNOWN_BUCKETS: Final = 256
"""As many where nobody knows how many entries will come."""
MAX_BUCKET_ENTRIES: Final = 2 * BLOCK_ENTRIES
"""What is sorted in memory at once, 80 MB at its height; a fuller bucket is split again."""
PIECE_ENTRIES: Final = BLOCK_ENTRIES // 2
"""Entries written at once, some 40 MB at their height."""
_FIELDS: Final = 3
"""Cell, gene and value of an entry, four bytes each."""

Triplets = tuple[Indices, Indices, Values]
"""Cells, genes and values of entries, (entries,) each; indices from 0."""
Records = npt.NDArray[np.int32]
"""Cells, genes and the bits of values, (entries, 3)."""


class Regroup:
    """Takes entries of ``n_cells`` in any order; gives them back by cell, those of one cell in the order they came.

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
        self._path = folder / "entries"
        self._n_cells = n_cells
        self._max_bucket_entries = max_bucket_entries
        wanted = UNKNOWN_BUCKETS if n_entries is None else 1 + 2 * n_entries // max_bucket_entries
        self._width = max(1, -(-n_cells // min(MAX_BUCKETS, wanted)))
        self._n_buckets = -(-n_cells // self._width)
        self._waiting: list[Triplets] = []
        self._n_waiting = 0
        self._written = 0
        self._starts: list[npt.NDArray[np.int64]] = []

    def add(self, cells: Indices, genes: Indices, values: Values) -> None:
        """Take entries; ScratchFullError where there is no room."""
        self._waiting.append((cells, genes, values))
        self._n_waiting += len(cells)
        if self._n_waiting >= PIECE_ENTRIES:
            self._write()

    def blocks(self) -> Iterator[CountBlock]:
        """All cells in order. May be read again."""
        self._write()
        for number in range(self._n_buckets):
            first = number * self._width
            yield from self._bucket(number, first, min(self._width, self._n_cells - first))

    def _write(self) -> None:
        """One piece to the end of the file, its entries by bucket."""
        if not self._n_waiting:
            return
        cells, genes, values = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._n_waiting = [], 0
        records = np.empty((len(cells), _FIELDS), np.int32)
        starts = np.zeros(self._n_buckets + 1, np.int64)
        _sort_by_bucket(cells, genes, values.view(np.int32), self._width, starts, records)
        with scratch.writing(self._folder), self._path.open("ab") as file:
            file.write(records.data)
        self._starts.append(starts + self._written)
        self._written += len(records)

    def _bucket(self, number: int, first: int, n_cells: int) -> Iterator[CountBlock]:
        n_entries = sum(int(starts[number + 1] - starts[number]) for starts in self._starts)
        if n_entries <= self._max_bucket_entries:
            yield _by_cell(self._records(number, n_entries), first, n_cells)
        elif n_cells == 1:
            yield self._summed(number)
        else:
            yield from self._split(number, first, n_cells, n_entries)

    def _records(self, number: int, n_entries: int) -> Records:
        records = np.empty((n_entries, _FIELDS), np.int32)
        done = 0
        for piece in self._pieces(number):
            records[done : done + len(piece)] = piece
            done += len(piece)
        return records

    def _pieces(self, number: int) -> Iterator[Records]:
        """The entries of a bucket, as they lie in each piece."""
        if not self._written:
            return
        with self._path.open("rb", buffering=0) as file:
            for starts in self._starts:
                start, stop = starts[number : number + 2].tolist()
                file.seek(start * _FIELDS * 4)
                yield np.fromfile(file, np.int32, (stop - start) * _FIELDS).reshape(-1, _FIELDS)

    def _split(self, number: int, first: int, n_cells: int, n_entries: int) -> Iterator[CountBlock]:
        with scratch.subfolder(self._folder) as folder:
            finer = Regroup(folder, n_cells, n_entries, self._max_bucket_entries)
            for piece in self._pieces(number):
                finer.add(*_fields(piece, first))
            yield from finer.blocks()

    def _summed(self, number: int) -> CountBlock:
        """One cell whose entries, many times repeated, would not fit in memory."""
        sums = np.zeros(0, np.float64)
        for piece in self._pieces(number):
            _, genes, values = _fields(piece, 0)
            part = np.bincount(genes, values, minlength=len(sums))
            part[: len(sums)] += sums
            sums = part
        genes = np.flatnonzero(sums).astype(np.int32)
        return CountBlock(np.array([0, len(genes)], np.int64), genes, sums[genes].astype(np.float32))


def _by_cell(records: Records, first: int, n_cells: int) -> CountBlock:
    indptr = np.zeros(n_cells + 1, np.int64)
    genes, values = np.empty(len(records), np.int32), np.empty(len(records), np.float32)
    _sort_by_cell(records, first, indptr, genes, values.view(np.int32))
    return CountBlock(indptr, genes, values)


def _fields(records: Records, first: int) -> Triplets:
    """Cells counted from ``first``, genes and values."""
    cells, genes, values = (np.ascontiguousarray(records[:, place]) for place in range(_FIELDS))
    return cells - np.int32(first), genes, values.view(np.float32)


@njit(cache=True, nogil=True)
def _sort_by_bucket(
    cells: Indices, genes: Indices, value_bits: Indices, width: int, starts: npt.NDArray[np.int64], records: Records
) -> None:
    """Entries as ``records``, those of ``width`` cells together; ``starts``, zeros, is where each bucket starts."""
    for cell in cells:
        starts[cell // width + 1] += 1
    for bucket in range(len(starts) - 1):
        starts[bucket + 1] += starts[bucket]
    places = starts.copy()
    for entry in range(len(cells)):
        bucket = cells[entry] // width
        place = places[bucket]
        records[place, 0], records[place, 1], records[place, 2] = cells[entry], genes[entry], value_bits[entry]
        places[bucket] = place + 1


@njit(cache=True, nogil=True)
def _sort_by_cell(
    records: Records, first: int, indptr: npt.NDArray[np.int64], genes: Indices, value_bits: Indices
) -> None:
    """Genes and values by cell; ``indptr``, zeros, is where each cell from ``first`` on starts."""
    for entry in range(len(records)):
        indptr[records[entry, 0] - first + 1] += 1
    for cell in range(len(indptr) - 1):
        indptr[cell + 1] += indptr[cell]
    places = indptr.copy()
    for entry in range(len(records)):
        cell = records[entry, 0] - first
        place = places[cell]
        genes[place], value_bits[place] = records[entry, 1], records[entry, 2]
        places[cell] = place + 1
