"""Tables inside AnnData files, obs and var: as groups of columns, or as one compound array in the oldest files."""

from collections.abc import Callable
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from shared.errors import CorruptMatrixError
from worker.matrices import hdf5
from worker.matrices.matrix import Strings

_INDEX_NAMES: Final = ("_index", "index")
_MASKED: Final = ""


def read_frame(file: h5py.File, path: str, wanted: Callable[[str], bool]) -> tuple[Strings, dict[str, Strings]]:
    """The index of the table at ``path`` and its wanted columns, as text; what is missing is empty."""
    node = hdf5.at_path(file, path)
    if isinstance(node, h5py.Group):
        index, columns = _group_frame(node, wanted)
    elif isinstance(node, h5py.Dataset) and node.dtype.names:
        index, columns = _compound_frame(file, node, wanted)
    else:
        raise CorruptMatrixError(f"“{path}” is missing or no table")
    for name, column in columns.items():
        if len(column) != len(index):
            raise CorruptMatrixError(f"{path}/{name} has {len(column):,} entries, but the index {len(index):,}")
    return index, columns


def _group_frame(group: h5py.Group, wanted: Callable[[str], bool]) -> tuple[Strings, dict[str, Strings]]:
    name = group.attrs.get("_index", "_index")
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    columns = {column: _column(group, column) for column in group if column != name and wanted(column)}
    return _column(group, name), columns


def _column(group: h5py.Group, name: str) -> Strings:
    """One column: texts, numbers, categories (groups since anndata 0.8, references before) or texts with a mask."""
    node = hdf5.member(group, name)
    if isinstance(node, h5py.Group):
        if "categories" in node:
            return _categorical(hdf5.dataset_at(node, "codes"), hdf5.dataset_at(node, "categories"))
        values = hdf5.strings_at(node, "values")
        mask = hdf5.read(hdf5.dataset_at(node, "mask")).astype(np.bool_)
        if len(mask) != len(values):
            raise CorruptMatrixError(f"{node.name} has {len(values):,} values and a mask of {len(mask):,}")
        return np.where(mask, _MASKED, values).astype(object)
    if not isinstance(node, h5py.Dataset):
        raise CorruptMatrixError(f"{group.name}: column “{name}” is missing")
    reference = node.attrs.get("categories")
    if isinstance(reference, h5py.Reference) and reference:
        categories = group[reference]
        if not isinstance(categories, h5py.Dataset):
            raise CorruptMatrixError(f"{group.name}/{name}: its categories are no list")
        return _categorical(node, categories)
    return hdf5.strings_at(group, name)


def _categorical(codes: h5py.Dataset, categories: h5py.Dataset) -> Strings:
    return _decoded(hdf5.read(codes), hdf5.as_strings(hdf5.read(categories), str(categories.name)), str(codes.name))


def _decoded(codes: npt.NDArray[Any], categories: Strings, place: str) -> Strings:
    if (
        codes.ndim != 1
        or codes.dtype.kind not in "iu"
        or (len(codes) and (codes.min() < -1 or codes.max() >= len(categories)))
    ):
        raise CorruptMatrixError(f"{place}: codes do not fit its {len(categories):,} categories")
    texts: Strings = np.append(categories, np.array([_MASKED], dtype=object))[codes]
    return texts


def _compound_frame(
    file: h5py.File, dataset: h5py.Dataset, wanted: Callable[[str], bool]
) -> tuple[Strings, dict[str, Strings]]:
    """A compound array; the categories of a column lie in ``uns`` as ``{column}_categories``."""
    rows = hdf5.read(dataset)
    names = rows.dtype.names or ()
    index = next((name for name in _INDEX_NAMES if name in names), names[0])
    columns = {}
    for name in filter(wanted, names):
        categories = hdf5.at_path(file, f"uns/{name}_categories")
        if isinstance(categories, h5py.Dataset) and rows[name].dtype.kind in "iu":
            columns[name] = _decoded(rows[name], hdf5.as_strings(hdf5.read(categories), str(categories.name)), name)
        else:
            columns[name] = hdf5.as_strings(rows[name], f"{dataset.name}/{name}")
    return hdf5.as_strings(rows[index], f"{dataset.name}/{index}"), columns
