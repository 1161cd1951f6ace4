"""Compressed rows or columns in HDF5, as anndata and Cell Ranger store them."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from shared.errors import CorruptMatrixError
from worker.matrices import hdf5
from worker.matrices.blocks import Indices, Values
from worker.matrices.chunks import Column
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock

MAX_SIDE: Final = 2**31 - 1
"""Cells or genes that an int32 index reaches."""


class Compressed:
    """Compressed rows (or columns) in a group with ``data``, ``indices`` and ``indptr``.

    ``n_major`` rows that ``indptr`` runs over, ``n_minor`` that ``indices`` point among.
    """

    def __init__(self, group: h5py.Group, n_major: int, n_minor: int) -> None:
        self._place = str(group.name)
        self._data = hdf5.dataset_at(group, "data")
        self._indices = hdf5.dataset_at(group, "indices")
        self._n_minor = n_minor
        if max(n_major, n_minor) > MAX_SIDE or min(n_major, n_minor) < 0:
            raise CorruptMatrixError(f"{self._place}: a shape of {n_major:,} by {n_minor:,} is absurd")
        if hdf5.dataset_at(group, "indptr").shape != (n_major + 1,):
            raise CorruptMatrixError(
                f"{self._place}/indptr has {len(group['indptr']):,} entries, but {n_major:,} rows need {n_major + 1:,}"
            )
        self.indptr = self._checked(hdf5.read(group["indptr"]))

    @property
    def n_entries(self) -> int:
        """Entries stored."""
        return len(self._data)

    def sample(self, count: int) -> npt.NDArray[Any]:
        """Up to three times ``count`` values: from the start, the middle and the end."""
        starts = sorted({0, max(0, (self.n_entries - count) // 2), max(0, self.n_entries - count)})
        parts = [hdf5.read(self._data, slice(start, min(start + count, self.n_entries))) for start in starts]
        return hdf5.float32(np.concatenate(parts), self._place)

    def pieces(self) -> Iterator[tuple[int, CountBlock]]:
        """The number of the first row and a block of rows as they are stored, of about BLOCK_ENTRIES."""
        with closing(Column(self._indices, self._minor)) as minor, closing(Column(self._data, self._values)) as values:
            for start, stop in self._row_ranges():
                indptr = self.indptr[start : stop + 1] - self.indptr[start]
                count = int(indptr[-1])
                yield start, CountBlock(indptr, minor.take(count), values.take(count))

    def _row_ranges(self) -> Iterator[tuple[int, int]]:
        start = 0
        while start < len(self.indptr) - 1:
            aim = self.indptr[start] + BLOCK_ENTRIES
            stop = max(start + 1, int(np.searchsorted(self.indptr, aim, side="right")) - 1)
            yield start, stop
            start = stop

    def _values(self, stored: npt.NDArray[Any], _: int) -> Values:
        return hdf5.float32(stored, self._place)

    def _minor(self, indices: npt.NDArray[Any], first: int) -> Indices:
        if indices.dtype.kind not in "iu":
            raise CorruptMatrixError(f"{self._place}/indices: expected whole numbers, found {indices.dtype}")
        if len(indices) and (indices.min() < 0 or indices.max() >= self._n_minor):
            wrong = int(np.argmax((indices < 0) | (indices >= self._n_minor)))
            raise CorruptMatrixError(
                f"{self._place}/indices, entry {first + wrong:,}: {indices[wrong]} is not among 0 to"
                f" {self._n_minor - 1:,}"
            )
        return indices.astype(np.int32)

    def _checked(self, indptr: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        sizes = {len(self._data), len(self._indices)}
        if indptr.dtype.kind not in "iu" or indptr[0] != 0 or np.any(indptr[1:] < indptr[:-1]):
            raise CorruptMatrixError(f"{self._place}/indptr does not ascend from 0")
        if sizes != {int(indptr[-1])}:
            raise CorruptMatrixError(
                f"{self._place}: indptr ends at {int(indptr[-1]):,}, but there are {len(self._data):,} values and"
                f" {len(self._indices):,} indices"
            )
        indptr = indptr.astype(np.int64)
        longest = int(np.diff(indptr).max(initial=0))
        if longest > max(self._n_minor, BLOCK_ENTRIES):
            raise CorruptMatrixError(
                f"{self._place}/indptr: a row of {longest:,} entries, more than the {self._n_minor:,} there can be"
            )
        return indptr
