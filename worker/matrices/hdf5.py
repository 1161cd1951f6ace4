"""HDF5 read with care: what is opened lies in the file itself, and what is damaged says where."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from shared.errors import CorruptMatrixError, PermanentError, UnsupportedFormatError
from worker.matrices.blocks import Values
from worker.matrices.matrix import CountBlock, Strings
from worker.matrices.streams import DEFLATE_ERROR, MAX_RATIO, RATIO_GRACE_BYTES

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
"""HDF5 File Format Specification, II.A."""
MAX_CHUNK_BYTES: Final = 2**27
"""A chunk is inflated whole: 128 MiB is a hundred times what writers choose."""

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
            raise type(error)(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
        except Exception as error:
            if isinstance(error, MemoryError) or not _is_of_h5py(error):
                raise
            raise CorruptMatrixError(f"{name}: damaged HDF5 ({error}); send it again") from error


def _is_of_h5py(error: Exception) -> bool:
    """Whether h5py raised it: damage shows at every step, as errors of any type."""
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    return str(innermost.f_globals.get("__name__")).startswith("h5py")


def member(group: h5py.Group, name: str) -> Any:
    """What ``name`` is in ``group``: a group or a dataset, in this file; None where there is none."""
    try:
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise CorruptMatrixError(f"{group.name}/{name} is a link to another file; send one file that has it all")
        found = group.get(name)
        if found is not None and found.file.id != group.file.id:
            raise CorruptMatrixError(f"{group.name}/{name} leads to another file; send one file that has it all")
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
        raise UnsupportedFormatError(
            f"{dataset.name}: chunks of {dataset.chunks} values are too large to be read; send it in chunks of at most"
            f" {MAX_CHUNK_BYTES:,} bytes (h5repack -l)"
        )
    plan = dataset.id.get_create_plist()
    for place in range(plan.get_nfilters()):
        code = plan.get_filter(place)[0]
        if not h5py.h5z.filter_avail(code):
            raise UnsupportedFormatError(
                f"{dataset.name} is packed with HDF5 filter {code} ({_FILTERS.get(code, 'unknown')}); send it with gzip"
            )


def read(dataset: h5py.Dataset, where: Any = ()) -> npt.NDArray[Any]:
    """Values of a dataset, all of them unless ``where`` says which; CorruptMatrixError where they cannot be read."""
    if isinstance(where, tuple) and not where:
        _refuse_hollow(dataset)
    with damage_named(dataset, where):
        values: npt.NDArray[Any] = np.asarray(dataset[where])
    return values


def _refuse_hollow(dataset: h5py.Dataset) -> None:
    """CorruptMatrixError where far more values are said to be there than are stored: each would be filled in."""
    stored = max(dataset.id.get_storage_size(), 1)
    if dataset.nbytes > RATIO_GRACE_BYTES and dataset.nbytes > MAX_RATIO * stored:
        raise CorruptMatrixError(
            f"{dataset.name}: {dataset.size:,} values of {dataset.dtype} in {stored:,} bytes are more than"
            f" {MAX_RATIO}:1, which no matrix has"
        )


@contextmanager
def damage_named(dataset: h5py.Dataset, where: Any) -> Iterator[None]:
    """Turn what reading damaged values raises into CorruptMatrixError with their place."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, DEFLATE_ERROR) as error:
        place = "" if isinstance(where, tuple) and not where else f", at {_described(where)}"
        raise CorruptMatrixError(f"{dataset.name}{place}: damaged HDF5 ({error}); send it again") from error


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
        return values.astype(np.float32, copy=False)


def reopened(path: Path, name: str, blocks: Callable[[h5py.File], Iterator[CountBlock]]) -> Iterator[CountBlock]:
    """Blocks of a file that is open only while they are read."""
    with opened(path, name) as file:
        yield from blocks(file)
