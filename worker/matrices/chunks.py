"""One-dimensional HDF5 datasets from start to end: each chunk is inflated once, ahead of whoever asks for it."""

from collections.abc import Callable, Generator
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from worker.matrices import hdf5
from worker.matrices.pipeline import overlapped

RUN_VALUES: Final = 524_288
"""Values read at once, as whole chunks."""
AHEAD_BYTES: Final = 16_777_216
"""Chunks larger than this (16 MiB) are not read ahead: three of them would be in memory."""
_PLAIN_FILTERS: Final = ((h5py.h5z.FILTER_DEFLATE,), (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE))

Values = npt.NDArray[Any]
Convert = Callable[[Values, int], Values]
"""Given values and the number of the first of them, gives what is wanted of them."""


class Column:
    """A dataset read from its start; ``convert`` works ahead too. Close it: threads may wait in it."""

    def __init__(self, dataset: h5py.Dataset, convert: Convert) -> None:
        self._runs = _runs(dataset, convert)
        self._rest = convert(np.empty(0, dataset.dtype), 0)

    def take(self, count: int) -> Values:
        """The next ``count`` values; there must be so many."""
        parts = [self._rest[:count]]
        missing = count - len(parts[0])
        self._rest = self._rest[count:]
        while missing:
            run = next(self._runs)
            parts.append(run[:missing])
            self._rest = run[missing:]
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def close(self) -> None:
        """End its threads."""
        self._runs.close()


def _runs(dataset: h5py.Dataset, convert: Convert) -> Generator[Values]:
    chunk = dataset.chunks[0] if dataset.chunks else 1
    width = max(1, RUN_VALUES // chunk) * chunk
    wheres = (slice(start, min(start + width, len(dataset))) for start in range(0, len(dataset), width))
    read = _inflated if _is_plain(dataset) else hdf5.read

    def work(where: slice) -> Values:
        return convert(read(dataset, where), where.start)

    if width * dataset.dtype.itemsize <= AHEAD_BYTES:
        yield from overlapped(wheres, work, workers=1)
    else:
        yield from map(work, wheres)


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Whether chunks are numbers, deflated, shuffled before or not. HDF5 inflates slower, and one chunk at a time."""
    plan = dataset.id.get_create_plist()
    filters = tuple(plan.get_filter(place)[0] for place in range(plan.get_nfilters()))
    return dataset.dtype.kind in "iuf" and filters in _PLAIN_FILTERS


def _inflated(dataset: h5py.Dataset, where: slice) -> Values:
    """Values of whole chunks; CorruptMatrixError where they cannot be read."""
    (chunk,) = dataset.chunks
    parts = [_chunk(dataset, start) for start in range(where.start, where.stop, chunk)]
    return np.concatenate(parts)[: where.stop - where.start]


def _chunk(dataset: h5py.Dataset, start: int) -> Values:
    (length,) = dataset.chunks
    where = slice(start, min(start + length, len(dataset)))
    with hdf5.damage_named(dataset, where):
        found = dataset.id.get_chunk_info_by_coord((start,))
        if found.byte_offset is None or found.filter_mask:
            return hdf5.read(dataset, where)
        _, packed = dataset.id.read_direct_chunk((start,))
        n_bytes = length * dataset.dtype.itemsize
        inflater = isal_zlib.decompressobj()
        content = inflater.decompress(packed, n_bytes + 1)
        if len(content) != n_bytes or not inflater.eof:
            raise OSError(f"a chunk of {n_bytes:,} bytes was expected")
    if dataset.shuffle:
        content = np.frombuffer(content, np.uint8).reshape(dataset.dtype.itemsize, length).T.tobytes()
    return np.frombuffer(content, dataset.dtype)
