"""loom files, versions 2 and 3: genes by cells, dense, with attributes of rows, columns and the file.

https://linnarssonlab.org/loompy/format/
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from shared.errors import CorruptMatrixError
from worker.matrices import hdf5
from worker.matrices.annotations import agreed_species, cell_types, is_annotation, library_labels
from worker.matrices.candidates import SAMPLE_VALUES, Candidate, choose, named_for_counts
from worker.matrices.counted import CountedMatrix
from worker.matrices.dense import dense_blocks, dense_sample
from worker.matrices.features import Features, from_columns, is_feature_column
from worker.matrices.matrix import Cells, CountBlock, Strings

CELL_ATTRIBUTES: Final = ("cellid", "cell_id", "cell_names", "cell_name", "obs_names", "barcode", "barcodes", "cell")
"""Column attributes that name the cells, case folded."""
_CELLS_AXIS: Final = 1


def is_loom(file: h5py.File) -> bool:
    """Whether it is laid out as loom is."""
    return isinstance(hdf5.member(file, "matrix"), h5py.Dataset) and "row_attrs" in file and "col_attrs" in file


def open_loom(file: h5py.File, path: Path, name: str, room: Path, inside: str = "") -> CountedMatrix:
    """The one matrix of ``file``, which lies at ``path`` and is called ``name``, or ``inside`` of an archive."""
    shape = hdf5.dataset_at(file, "matrix", 2).shape
    rows, columns = _attributes(file, "row_attrs", shape[0]), _attributes(file, "col_attrs", shape[1])
    annotations = _global_attributes(file, shape[1]) | columns
    place, why = choose([_candidate(file, candidate) for candidate in _places(file)])
    species, notes = agreed_species(annotations)
    return CountedMatrix(
        place=f"{name}, {place}",
        name=inside,
        features=_features(rows),
        cells=Cells(_cell_ids(columns), library_labels(annotations), cell_types(annotations)),
        raw_blocks=partial(hdf5.reopened, path, name, partial(_blocks, place, room)),
        species=species,
        notes=(why, *notes),
    )


def _blocks(place: str, room: Path, file: h5py.File) -> Iterator[CountBlock]:
    return dense_blocks(hdf5.dataset_at(file, place, 2), _CELLS_AXIS, room)


def _places(file: h5py.File) -> list[str]:
    """The layers named for counts, then the main matrix, which is TPM in Smart-seq2 files of the HCA."""
    layers = hdf5.group_at(file, "layers")
    return [*(f"layers/{name}" for name in named_for_counts(list(layers or ()))), "matrix"]


def _candidate(file: h5py.File, place: str) -> Candidate:
    dataset = hdf5.dataset_at(file, place, 2)
    if dataset.shape != file["matrix"].shape:
        raise CorruptMatrixError(f"{place} is {dataset.shape}, but the main matrix {file['matrix'].shape}")
    return Candidate(place, lambda: dense_sample(dataset, _CELLS_AXIS, SAMPLE_VALUES))


def _attributes(file: h5py.File, group_name: str, length: int) -> dict[str, Strings]:
    """Attributes with one text or number for each row or column; CorruptMatrixError where one is of another length."""
    group = hdf5.group_at(file, group_name)
    found: dict[str, Strings] = {}
    for name in group or ():
        dataset = hdf5.member(group, name)
        if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1 or not _is_wanted(name):
            continue
        if len(dataset) != length:
            raise CorruptMatrixError(f"{dataset.name} has {len(dataset):,} entries, but the matrix {length:,}")
        found[name] = hdf5.as_strings(hdf5.read(dataset), str(dataset.name))
    return found


def _is_wanted(name: str) -> bool:
    return name.casefold() in CELL_ATTRIBUTES or is_feature_column(name) or is_annotation(name)


def _global_attributes(file: h5py.File, n_cells: int) -> dict[str, Strings]:
    """What the file says of all its cells: in a group ``attrs`` (loom 3) or as attributes of the file (loom 2)."""
    group = hdf5.group_at(file, "attrs")
    told: dict[str, object] = {name: value for name, value in file.attrs.items() if is_annotation(name)}
    for name in group or ():
        if is_annotation(name) and isinstance(dataset := hdf5.member(group, name), h5py.Dataset):
            told[name] = hdf5.read(dataset)
    texts = {name: hdf5.as_strings(np.asarray(value), name) for name, value in told.items() if _is_filled(value)}
    return {name: np.full(n_cells, text[0], dtype=object) for name, text in texts.items() if len(text) == 1}


def _is_filled(value: object) -> bool:
    return not isinstance(value, h5py.Empty)


def _features(rows: dict[str, Strings]) -> Features:
    try:
        return from_columns(rows)
    except KeyError as error:
        raise CorruptMatrixError("row_attrs has no Gene, gene_names or ensembl_ids") from error


def _cell_ids(columns: dict[str, Strings]) -> Strings:
    folded = {attribute.casefold(): values for attribute, values in columns.items()}
    ids = next((folded[attribute] for attribute in CELL_ATTRIBUTES if attribute in folded), None)
    if ids is None:
        raise CorruptMatrixError("col_attrs has no CellID or cell_names")
    return ids
