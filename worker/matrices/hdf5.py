"""HDF5 read with care: what is opened lies in the file itself, and what is damaged says where."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from shared.errors import CorruptMatrixError, PermanentError, UnsupportedFormatError
from worker.matrices.blocks import Indices, Values
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock, Strings

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
"""HDF5 File Format Specification, II.A."""
MAX_CHUNK_BYTES: Final = 2**30
"""A chunk is inflated whole: 1 GiB is a thousand times what writers choose."""
MAX_SIDE: Final = 2**31 - 1
"""Cells or genes that an int32 index reaches."""

_FILTERS: Final = {32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32015: "zstd", 32026: "blosc2"}
"""https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md"""


@contextmanager
def opened(path: Path, name: str) -> Iterator[h5py.File]:
    """The file, called ``name`` in messages; CorruptMatrixError where it is cut off or damaged."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise CorruptMatrixError(f"{name}: damaged or truncated HDF5 ({error}); send it again") from error
    with file:
        try:
            yield file
        except PermanentError as error:
            raise type(error)(f"{name}: {error}") from error


def member(group: h5py.Group, name: str) -> Any:
    """What ``name`` is in ``group``: a group or a dataset, in this file; None where there is none."""
    try:
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise CorruptMatrixError(f"{group.name}/{name} is a link to another file; send one file that has it all")
        found = group.get(name)
    except (OSError, RuntimeError, KeyError) as error:
        raise CorruptMatrixError(f"{group.name}/{name}: damaged HDF5 ({error}); send it again") from error
    if isinstance(found, h5py.Dataset):
        _refuse_unreadable(found)
    return found


def at_path(group: h5py.Group, path: str) -> Any:
    """What lies at ``path``, a slash between the steps; None where there is nothing."""
    name, _, rest = path.partition("/")
    found = member(group, name)
    if not rest:
        return found
    return at_path(found, rest) if isinstance(found, h5py.Group) else None


def group_at(group: h5py.Group, name: str) -> h5py.Group | None:
    """The group ``name``, or None."""
    found = member(group, name)
    return found if isinstance(found, h5py.Group) else None


def dataset_at(group: h5py.Group, name: str, dimensions: int = 1) -> h5py.Dataset:
    """The dataset ``name``, of so many dimensions; CorruptMatrixError where it is missing or another."""
    found = member(group, name)
    if not isinstance(found, h5py.Dataset) or found.ndim != dimensions:
        raise CorruptMatrixError(f"{group.name}: “{name}” is missing or has not {dimensions} dimension(s)")
    return found


def _refuse_unreadable(dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise CorruptMatrixError(f"{dataset.name} lies in another file; send one file that has it all")
    if dataset.chunks and np.prod(dataset.chunks, dtype=np.float64) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
        raise CorruptMatrixError(f"{dataset.name}: a chunk of {dataset.chunks} values is more than any writer makes")
    plan = dataset.id.get_create_plist()
    for place in range(plan.get_nfilters()):
        code = plan.get_filter(place)[0]
        if not h5py.h5z.filter_avail(code):
            raise UnsupportedFormatError(
                f"{dataset.name} is packed with HDF5 filter {code} ({_FILTERS.get(code, 'unknown')}); send it with gzip"
            )


def read(dataset: h5py.Dataset, where: Any = ()) -> npt.NDArray[Any]:
    """Values of a dataset; CorruptMatrixError where they cannot be read."""
    try:
        values: npt.NDArray[Any] = np.asarray(dataset[where])
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        place = "" if isinstance(where, tuple) and not where else f", at {_described(where)}"
        raise CorruptMatrixError(f"{dataset.name}{place}: damaged HDF5 ({error}); send it again") from error
    return values


def _described(where: Any) -> str:
    parts = where if isinstance(where, tuple) else (where,)
    return ", ".join(f"{part.start}:{part.stop}" if isinstance(part, slice) else str(part) for part in parts)


def as_strings(values: npt.NDArray[Any], place: str) -> Strings:
    """Text of any encoding HDF5 has; numbers as they are written."""
    result = np.empty(values.size, dtype=object)
    try:
        result[:] = [item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in values.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise CorruptMatrixError(f"{place}: no UTF-8 text ({error.reason})") from error
    return result


def strings_at(group: h5py.Group, name: str) -> Strings:
    """The texts of dataset ``name``."""
    dataset = dataset_at(group, name)
    return as_strings(read(dataset), str(dataset.name))


def float32(values: npt.NDArray[Any], place: str) -> Values:
    """Values as blocks carry them; what is no number is refused, what is too large becomes infinite."""
    if values.dtype.kind not in "biuf":
        raise CorruptMatrixError(f"{place}: expected numbers, found {values.dtype}")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


class Compressed:
    """Compressed rows (or columns) in a group with ``data``, ``indices`` and ``indptr``.

    ``n_major`` rows that ``indptr`` runs over, ``n_minor`` that ``indices`` point among.
    """

    def __init__(self, group: h5py.Group, n_major: int, n_minor: int) -> None:
        self._place = str(group.name)
        self._data = dataset_at(group, "data")
        self._indices = dataset_at(group, "indices")
        self._n_minor = n_minor
        if max(n_major, n_minor) > MAX_SIDE or min(n_major, n_minor) < 0:
            raise CorruptMatrixError(f"{self._place}: a shape of {n_major:,} by {n_minor:,} is absurd")
        if dataset_at(group, "indptr").shape != (n_major + 1,):
            raise CorruptMatrixError(
                f"{self._place}/indptr has {len(group['indptr']):,} entries, but {n_major:,} rows need {n_major + 1:,}"
            )
        self.indptr = self._checked(read(group["indptr"]))

    @property
    def n_entries(self) -> int:
        """Entries stored."""
        return len(self._data)

    def sample(self, count: int) -> npt.NDArray[Any]:
        """Up to three times ``count`` values: from the start, the middle and the end."""
        starts = sorted({0, max(0, (self.n_entries - count) // 2), max(0, self.n_entries - count)})
        parts = [read(self._data, slice(start, min(start + count, self.n_entries))) for start in starts]
        return float32(np.concatenate(parts), self._place)

    def pieces(self) -> Iterator[tuple[int, CountBlock]]:
        """The number of the first row and a block of rows as they are stored, of about BLOCK_ENTRIES."""
        start = 0
        while start < len(self.indptr) - 1:
            aim = self.indptr[start] + BLOCK_ENTRIES
            stop = max(start + 1, int(np.searchsorted(self.indptr, aim, side="right")) - 1)
            where = slice(int(self.indptr[start]), int(self.indptr[stop]))
            yield (
                start,
                CountBlock(
                    self.indptr[start : stop + 1] - self.indptr[start],
                    self._minor(where),
                    float32(read(self._data, where), self._place),
                ),
            )
            start = stop

    def _minor(self, where: slice) -> Indices:
        indices = read(self._indices, where)
        if len(indices) and (indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= self._n_minor):
            wrong = int(np.argmax((indices < 0) | (indices >= self._n_minor)))
            raise CorruptMatrixError(
                f"{self._place}/indices, entry {where.start + wrong:,}: {indices[wrong]} is not among 0 to"
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
        return indptr.astype(np.int64)


def reopened(path: Path, name: str, blocks: Callable[[h5py.File], Iterator[CountBlock]]) -> Iterator[CountBlock]:
    """Blocks of a file that is open only while they are read."""
    with opened(path, name) as file:
        yield from blocks(file)
